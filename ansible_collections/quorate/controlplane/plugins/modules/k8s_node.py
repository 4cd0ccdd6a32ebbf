#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "k8s_node"
short_description: "Cordons, drains, uncordons, awaits or deletes a Kubernetes node"
version_added: "0.1.0"
description:
  - "Cordons, drains, uncordons, awaits or deletes a Kubernetes node."
  - "Pods are evicted, at most ten at a time. One that a C(PodDisruptionBudget) holds is tried again after the delay the server names, until O(timeout) is over; then the task fails and names the pods and the budgets. Pods of a C(DaemonSet) and static pods stay."
  - "A node whose kubelet has not been heard of for 40 seconds cannot be drained: evictions on it are accepted and never finish. See O(out_of_service)."
  - "The last complete node of a control plane is never drained nor deleted, and no node whose etcd member is still listed is deleted."
author:
  - "Quorate contributors (@quorate)"
options:
  context:
    description:
      - "The context in the kubeconfig. The current one when it is not given."
    type: "str"
  delete_emptydir_data:
    description:
      - "Whether pods with an C(emptyDir) are evicted. What is in it is lost."
    type: "bool"
    default: false
  etcd:
    description:
      - "How to reach etcd, with O(state=absent). Needed for a node of a control plane that runs its own etcd."
    type: "dict"
    suboptions:
      ca_cert:
        description:
          - "The authority of the members' certificates."
          - "When none of the three files is given, those of kubeadm, else of k3s."
        type: "path"
      client_cert:
        description:
          - "A client certificate."
        type: "path"
      client_key:
        description:
          - "Its key."
        type: "path"
      endpoints:
        description:
          - "Client URLs of members."
        type: "list"
        elements: "str"
        default:
          - "https://127.0.0.1:2379"
  force:
    description:
      - "Whether pods are evicted that nothing brings back."
    type: "bool"
    default: false
  grace_period:
    description:
      - "Seconds that pods are given to end, instead of their own."
    type: "str"
    aliases:
      - "terminate_grace_period"
  kubeconfig:
    description:
      - "The kubeconfig to use."
      - "When it is not given, the first of C(/etc/kubernetes/admin.conf), C(/etc/rancher/k3s/k3s.yaml) and C(/etc/rancher/rke2/rke2.yaml) that exists."
    type: "path"
  lock_holder:
    description:
      - "The run that holds the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holder)."
      - "When it is given, each change is only made after proving that the lock is still that run's."
    type: "str"
  name:
    description:
      - "Name of the node."
    type: "str"
    required: true
    aliases:
      - "node"
  out_of_service:
    description:
      - "With O(state=drained), instead of evictions, declare the node out of service, so that the cluster gives up its pods and volumes."
      - "Only true when the node was proven to be powered off: a pod that still runs there would run twice."
      - "Where there is nothing left to be given up nothing is declared. O(state=uncordoned) takes it back."
    type: "bool"
    default: false
  server:
    description:
      - "Another address than the kubeconfig's, as C(https://192.0.2.11:6443)."
    type: "str"
    aliases:
      - "host"
  state:
    description:
      - "What the node shall be."
      - "V(cordoned): No new pods are put on it."
      - "V(drained): It is cordoned, no pods are left on it but those that belong to it, and no volume is attached to it."
      - "V(uncordoned): New pods may be put on it."
      - "V(ready): It is ready, and its kubelet was heard of lately. This is waited for."
      - "V(absent): There is no such node, nor what k3s remembers of its password."
      - "V(current): As it is: nothing is changed, and what there is is returned."
    type: "str"
    required: true
    choices:
      - "cordoned"
      - "drained"
      - "uncordoned"
      - "ready"
      - "absent"
      - "current"
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "5m"
    aliases:
      - "wait_timeout"
  uid:
    description:
      - "The node's UID, as read before."
      - "A node of the same name and another UID is another one: with O(state=cordoned), O(state=drained) and O(state=absent) the one that was meant is gone, and there is nothing to do."
    type: "str"
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
- name: Drain cp2
  quorate.controlplane.k8s_node:
    name: cp2
    state: drained
    delete_emptydir_data: true
    timeout: 10m
  delegate_to: cp1

- name: Give up what ran on cp2, which is powered off
  quorate.controlplane.k8s_node:
    name: cp2
    state: drained
    out_of_service: true
  delegate_to: cp1

- name: Delete the Node, once its etcd member is gone
  quorate.controlplane.k8s_node:
    name: cp2
    uid: "{{ node.uid }}"
    state: absent
    etcd: {}
    lock_holder: "{{ lock.holder }}"
  delegate_to: cp1

- name: Wait for the new cp2
  quorate.controlplane.k8s_node:
    name: cp2
    state: ready
  delegate_to: cp1

- name: Let pods come to it
  quorate.controlplane.k8s_node:
    name: cp2
    state: uncordoned
  delegate_to: cp1
'''

RETURN = r'''
---
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
cordoned:
  description:
    - "Whether new pods are kept away."
  type: "bool"
  returned: "always"
exists:
  description:
    - "Whether there is one."
  type: "bool"
  returned: "always"
name:
  description:
    - "Name of the node."
  type: "str"
  returned: "always"
out_of_service:
  description:
    - "Whether it is declared out of service."
  type: "bool"
  returned: "always"
pods:
  description:
    - "Pods on it that do not belong to it."
  type: "list"
  elements: "str"
  returned: "when known"
ready:
  description:
    - "Whether it is ready, and its kubelet was heard of lately."
  type: "bool"
  returned: "always"
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
uid:
  description:
    - "Its UID."
  type: "str"
  returned: "when known"
volume_attachments:
  description:
    - "Volumes that are attached to it."
  type: "list"
  elements: "str"
  returned: "when known"
'''
