#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "control_plane_lock"
short_description: "Holds the lock of a control-plane operation, and the operation's record"
version_added: "0.1.0"
description:
  - "Holds the lock of a control-plane operation, and the operation's record."
  - "Two operations on the control plane never overlap: the lock is one Lease in the cluster, and the modules that change something renew it right before each change. A run that was paused for longer than O(duration) is refused at its next change."
  - "An operation that was killed is resumed by running the same again: its lock is taken over at once where its process is known to have ended, and otherwise once it has not been renewed for as long as it holds. Another operation is refused until that one is finished or abandoned."
  - "C(kubectl get lease -n kube-system quorate-control-plane -o yaml) shows everything there is to know."
author:
  - "Quorate contributors (@quorate)"
options:
  abandon:
    description:
      - "With O(state=released), gives up the operation of another run, once that run has ended or its lock has expired."
      - "What the operation began stays as it is."
    type: "bool"
    default: false
  context:
    description:
      - "The context in the kubeconfig. The current one when it is not given."
    type: "str"
  controller:
    description:
      - "What runs on the controller, to tell whether an earlier run of the same controller has ended."
      - "The collection fills it in. Where the task runs on the controller itself it is not needed."
    type: "dict"
    suboptions:
      pid_namespace:
        description:
          - "The namespace that the process ids are of, as C(readlink /proc/self/ns/pid) has it."
        type: "str"
        required: true
      processes:
        description:
          - "Every process, as C(pid/start-time)."
        type: "list"
        elements: "str"
  duration:
    description:
      - "How long this run may go without renewing the lock. Longer than the longest task that does not renew it."
    type: "str"
    default: "15m"
  holder:
    description:
      - "Who this run is, as C(host/boot-id/pid/start-time/run-id) of the process that runs the whole operation."
      - "The collection fills it in with the run of C(ansible-playbook) that the task belongs to."
    type: "str"
    required: true
  kubeconfig:
    description:
      - "The kubeconfig to use."
      - "When it is not given, the first of C(/etc/kubernetes/admin.conf), C(/etc/rancher/k3s/k3s.yaml) and C(/etc/rancher/rke2/rke2.yaml) that exists."
    type: "path"
  name:
    description:
      - "Name of the Lease."
    type: "str"
    default: "quorate-control-plane"
  namespace:
    description:
      - "Namespace of the Lease."
    type: "str"
    default: "kube-system"
  operation:
    description:
      - "What is to be done, as V(replace)."
    type: "str"
  record:
    description:
      - "Facts that are needed to resume the operation, each a name and a text, as V(old_member_id), V(old_node_uid) and V(condemned_volid)."
      - "They are added to those that are there. A fact that is there with another text is replaced."
    type: "dict"
  server:
    description:
      - "Another address than the kubeconfig's, as C(https://192.0.2.11:6443)."
    type: "str"
    aliases:
      - "host"
  state:
    description:
      - "What the lock shall be."
      - "V(held): This run holds the lock for O(operation) of O(target), and the facts of O(record) are recorded."
      - "V(recorded): The facts of O(record) are recorded. The lock has to be this run's own already."
      - "V(released): Nobody holds the lock, and the record is closed."
    type: "str"
    default: "held"
    choices:
      - "held"
      - "recorded"
      - "released"
  target:
    description:
      - "What it is to be done to: the Node's name."
    type: "str"
    aliases:
      - "node"
  wait:
    description:
      - "How long to wait for a lock that another run holds, for it to be released or to expire."
      - "Whether it has expired is judged by this host's own clock, from when the task first sees it."
    type: "str"
    default: "0"
attributes:
  action_group:
    description: "Takes the defaults of a group of modules."
    membership:
      - "quorate.controlplane.all"
    support: "full"
  check_mode:
    description: "Predicts without changing anything."
    support: "full"
  diff_mode:
    description: "Shows what differs."
    details:
      - "Shows the state before and after, as it returns them."
    support: "full"
  platform:
    description: "Runs on Linux, on x86_64 and aarch64. The target needs no Python."
    platforms: "posix"
    support: "full"
requirements:
  - "A POSIX shell with uname and sha256sum on the target."
'''

EXAMPLES = r'''
---
- name: Lock the control plane for the replacement of cp2
  quorate.controlplane.control_plane_lock:
    state: held
    operation: replace
    target: cp2
  delegate_to: cp1
  register: lock

- name: Remember what will be gone
  quorate.controlplane.control_plane_lock:
    state: recorded
    record:
      old_member_id: "{{ member.id }}"
      old_node_uid: "{{ node.uid }}"
  delegate_to: cp1

- name: Prove that the lock is still held, where the next task cannot
  quorate.controlplane.control_plane_lock:
    state: recorded
  delegate_to: cp1
  register: proven

- name: Switch the machine off, unless the run is paused until another may have the lock
  quorate.controlplane.pve_guest:
    vmid: 102
    name: cp2
    state: stopped
    lock_until: "{{ proven.holds_until | default(omit) }}"
  delegate_to: localhost

- name: Unlock it
  quorate.controlplane.control_plane_lock:
    state: released
    target: cp2
  delegate_to: cp1

- name: Give up an operation whose run is gone for good
  quorate.controlplane.control_plane_lock:
    state: released
    abandon: true
    wait: 16m
'''

RETURN = r'''
---
acquired:
  description:
    - "When the operation began. A run that resumes it keeps this."
  type: "str"
  returned: "when known"
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
holder:
  description:
    - "Who holds the lock; nothing when it is free. Other modules want it where they ask for the holder."
  type: "str"
  returned: "when known"
holds_until:
  description:
    - "Until when nobody else can have taken the lock by its expiry, by the clock of the host the task runs on; nothing when it is not this run's."
    - "What M(quorate.controlplane.pve_guest), M(quorate.controlplane.pve_disk_reimage) and M(quorate.controlplane.haproxy_pool) want as C(lock_until)."
  type: "str"
  returned: "when known"
operation:
  description:
    - "What is being done; nothing when nothing is."
  type: "str"
  returned: "when known"
record:
  description:
    - "The facts of the operation."
  type: "dict"
  returned: "when known"
refusal:
  description:
    - "Why the module decided not to act."
  type: "dict"
  returned: "when refused"
  contains:
    code:
      description:
        - "The reason, for programs."
      type: "str"
      returned: "always"
    standing:
      description:
        - "V(passing) goes away by itself, V(unmet) when an earlier task has run, V(final) not without a decision."
      type: "str"
      returned: "always"
    text:
      description:
        - "What was observed, what was needed, and the way out."
      type: "str"
      returned: "always"
refused:
  description:
    - "The module decided not to act. Nothing was changed."
  type: "bool"
  returned: "when refused"
steps:
  description:
    - "What was done, or in check mode would be done, a sentence each."
  type: "list"
  elements: "str"
  returned: "success"
steps_done:
  description:
    - "What was done before the failure."
  type: "list"
  elements: "str"
  returned: "failure"
steps_in_doubt:
  description:
    - "What was sent and whose effect was not seen. Running the task again finds out."
  type: "list"
  elements: "str"
  returned: "failure"
steps_left:
  description:
    - "What was not begun."
  type: "list"
  elements: "str"
  returned: "failure"
taken_over_from:
  description:
    - "The run that the operation was last taken over from."
  type: "str"
  returned: "when known"
target:
  description:
    - "To what."
  type: "str"
  returned: "when known"
'''
