#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "etcd_member"
short_description: "Removes a member from an etcd cluster, waits for one to become a voter, or moves leadership"
version_added: "0.1.0"
description:
  - "Removes a member from an etcd cluster, waits for one to become a voter, or moves leadership."
  - "Run it on a member that stays, or anywhere with certificates: all calls go to members other than the one that is removed."
  - "A voter is removed only when the quorum is proven to survive the whole operation in the worst case. Every member that stays is asked at its own client URL, twice and five seconds apart: a linearizable read works, it follows the same leader in the same term, its log is not behind, it has no alarm, and it lists the same members. What could not be seen counts as broken."
  - "Leadership is moved away first; afterwards the member is verified to be gone from the list of every peer, and alarms that it left behind are disarmed."
  - "Adding members is left to the distribution (C(kubeadm join), a k3s server that joins); O(state=voter) waits for that to be complete."
  - "Works for the members of kubeadm, of k3s (by the Node's name as well as by the member's), and for etcd on its own."
author:
  - "Quorate contributors (@quorate)"
options:
  allow_downtime:
    description:
      - "With O(state=follower): goes on where no other voter could lead, because there is but one, or two and the other is not healthy. Stopping the member then stops every write. What the gate would have said is a warning."
    type: "bool"
    default: false
  allow_single_member:
    description:
      - "Allows to go from two voters to one."
    type: "bool"
    default: false
  ca_cert:
    description:
      - "Certificate of etcd's authority. Default: kubeadm's C(/etc/kubernetes/pki/etcd/ca.crt), else that of k3s."
    type: "path"
    aliases:
      - "ca_path"
  client_cert:
    description:
      - "Client certificate. Default: kubeadm's C(healthcheck-client.crt) beside the authority, else that of k3s."
    type: "path"
  client_key:
    description:
      - "Key of the client certificate. Default: beside it."
    type: "path"
  endpoints:
    description:
      - "Client URLs of members. One is enough to find the others; several are needed where one may be down."
    type: "list"
    elements: "str"
    default:
      - "https://127.0.0.1:2379"
    aliases:
      - "endpoint"
  force:
    description:
      - "With O(state=voter): promotes the learner as soon as it is in sync, instead of waiting until the distribution does."
      - "Only for a join whose owner is gone: kubeadm and k3s promote by themselves."
    type: "bool"
    default: false
  healthy_nodes:
    description:
      - "Names of the Nodes whose kubelet lease is fresh and whose control-plane components are ready. When given, a member without one of them is not proven."
    type: "list"
    elements: "str"
  id:
    description:
      - "Id of the member: hexadecimal, as etcdctl shows it, or decimal. Quote it in YAML."
      - "Digits alone are tried as both, and refused when they fit two members; C(0x) in front makes them hexadecimal."
    type: "str"
    aliases:
      - "member_id"
  kubeconfig:
    description:
      - "Kubeconfig for the lock. Default: C(/etc/kubernetes/admin.conf), else C(/etc/rancher/k3s/k3s.yaml)."
    type: "path"
  leader:
    description:
      - "Who shall lead: a member by its name, id or peer address, which must be a healthy voter; or V(elsewhere), for anybody but the member described by O(name), O(id) or O(peer_address), which is what O(state=follower) does."
    type: "str"
  lock_holder:
    description:
      - "Who holds the control plane's lock. When given, the lock is proven to be held right before each change."
    type: "str"
  name:
    description:
      - "Name of the member: the node's name with kubeadm and k3s."
      - "Everything that is given about the member must agree with the member list. A member that has not started yet has no name, which contradicts none."
    type: "str"
  peer_address:
    description:
      - "Peer address of the member: an address, with or without port, or the peer URL."
    type: "str"
    aliases:
      - "peer"
      - "peer_url"
  sample:
    description:
      - "An earlier sample of the evidence, RV(quorate.controlplane.etcd_info#module:sample), so that the second one need not be waited for."
      - "It counts when it is at least five seconds and at most fifteen minutes old."
    type: "dict"
  state:
    description:
      - "What the member shall be."
      - "V(absent): It is not listed."
      - "V(voter): It is listed with a vote, and proven healthy. This waits for a join and changes nothing."
      - "V(follower): It does not lead. Leadership is moved to a healthy voter, so that stopping the member afterwards costs no election."
    type: "str"
    choices:
      - "absent"
      - "voter"
      - "follower"
  target_stopped:
    description:
      - "The member's host is proven to be powered off, or its etcd stopped for good."
      - "A member that does not answer is not removed without this: it may be running behind a cut network, and would come back by itself."
      - "A member that answers is not removed with it."
    type: "bool"
    default: false
  then_rejoin:
    description:
      - "A fresh member will join in its place, and the gate judges that part of the path too: both the addition and the promotion in the worst case."
    type: "bool"
    default: false
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "300"
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
- name: Remove the member of a node whose virtual machine is powered off
  quorate.controlplane.etcd_member:
    name: cp2
    peer_address: 198.18.0.12
    state: absent
    target_stopped: true
    then_rejoin: true
    endpoints:
      - https://198.18.0.11:2379
      - https://198.18.0.13:2379
  delegate_to: cp1

- name: Remove a member by its id, while it runs
  quorate.controlplane.etcd_member:
    id: "8e9e05c52164694d"
    state: absent

- name: Wait until the replacement has a vote and is healthy
  quorate.controlplane.etcd_member:
    name: cp2
    peer_address: 198.18.0.12
    state: voter
    timeout: 10m

- name: Move leadership away from a member that is about to be stopped
  quorate.controlplane.etcd_member:
    name: cp2
    leader: elsewhere

- name: Let cp1 lead
  quorate.controlplane.etcd_member:
    leader: cp1

- name: Promote a learner whose join nobody finishes
  quorate.controlplane.etcd_member:
    name: cp3
    state: voter
    force: true
'''

RETURN = r'''
---
alarms:
  description:
    - "Alarms, each with the member it is about."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    alarm:
      description:
        - "V(NOSPACE) or V(CORRUPT)."
      type: "str"
      returned: "always"
    member_id:
      description:
        - "Id of the member, hexadecimal."
      type: "str"
      returned: "always"
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
members:
  description:
    - "The members, by name."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    id:
      description:
        - "Hexadecimal, as etcdctl shows it."
      type: "str"
      returned: "always"
    id_dec:
      description:
        - "Decimal, as etcd's JSON has it; a string, because it needs 64 bits."
      type: "str"
      returned: "always"
    name:
      description:
        - "Empty until the member has started."
      type: "str"
      returned: "always"
    peer_urls:
      description:
        - "Where the other members reach it."
      type: "list"
      elements: "str"
      returned: "when known"
    role:
      description:
        - "V(voter) or V(learner)."
      type: "str"
      returned: "always"
quorum:
  description:
    - "How many voters must agree."
  type: "int"
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
'''
