#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "etcd_info"
short_description: "Reads an etcd cluster: members, evidence of their health, leader, alarms, and what the gate would say"
version_added: "0.1.0"
description:
  - "Reads an etcd cluster: members, evidence of their health, leader, alarms, and what the gate would say."
  - "All members are asked in parallel, each at its own client URL. A member is C(proven) when every point of evidence was seen in its favour; RV(members) names each point that is missing. What could not be seen counts as missing."
  - "O(if) asks whether an operation would be safe, over its whole path and in the worst case, without doing anything."
author:
  - "Quorate contributors (@quorate)"
options:
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
  hashkv:
    description:
      - "Compares the hash of all keys on every member at one revision. Each member walks all its keys, one member after the other."
    type: "bool"
    default: false
    aliases:
      - "hash"
  healthy_nodes:
    description:
      - "Names of the Nodes whose kubelet lease is fresh and whose control-plane components are ready. When given, a member without one of them is not proven."
    type: "list"
    elements: "str"
  if:
    description:
      - "An operation to ask the gate about."
    type: "dict"
    suboptions:
      add:
        description:
          - "Adds a member, which then becomes a voter."
        type: "bool"
      allow_downtime:
        description:
          - "Allows to restart one of one or two voters, which stops every write meanwhile."
        type: "bool"
        default: false
      allow_single_member:
        description:
          - "Allows to go from two voters to one."
        type: "bool"
        default: false
      defragment:
        description:
          - "Defragments this member."
        type: "str"
      promote:
        description:
          - "Promotes this learner."
        type: "str"
      remove:
        description:
          - "Removes this member."
        type: "str"
      restart:
        description:
          - "Restarts this member and waits for it."
        type: "str"
      start:
        description:
          - "Starts this member."
        type: "str"
      stop:
        description:
          - "Stops this member for good."
        type: "str"
      target_runs:
        description:
          - "The member to be removed still runs, and is to be stopped on the way; the verdict says whether before or after the removal."
        type: "bool"
        default: true
      then_rejoin:
        description:
          - "A fresh member joins in place of the one removed."
        type: "bool"
        default: false
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "60"
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
      - "It changes nothing."
    support: "N/A"
  platform:
    description: "Runs on Linux, on x86_64 and aarch64. The target needs no Python."
    platforms: "posix"
    support: "full"
requirements:
  - "A POSIX shell with uname and sha256sum on the target."
'''

EXAMPLES = r'''
---
- name: Look at the cluster of this control-plane node
  quorate.controlplane.etcd_info:
  register: etcd

- name: Ask whether cp2 may be replaced, and whether it is to be stopped before or after it is removed
  quorate.controlplane.etcd_info:
    if:
      remove: cp2
      then_rejoin: true
  register: etcd

- name: Refuse in the words of the gate
  ansible.builtin.assert:
    that: etcd.gate.safe
    fail_msg: "{{ etcd.gate.text }}"

- name: Compare the data of all members
  quorate.controlplane.etcd_info:
    hashkv: true
    endpoints: https://198.18.0.11:2379
  register: etcd
  failed_when: etcd.hashkv.equal is not true
'''

RETURN = r'''
---
alarms:
  description:
    - "Alarms, each with the member it is about. Any one stops every write to the cluster."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    alarm:
      description:
        - "V(NOSPACE) or V(CORRUPT)."
      type: "str"
      returned: "always"
    listed:
      description:
        - "Whether that member is still listed."
      type: "bool"
      returned: "always"
    member_id:
      description:
        - "Id of the member, hexadecimal; C(0) when etcd cannot tell."
      type: "str"
      returned: "always"
cluster_id:
  description:
    - "Id of the cluster, hexadecimal."
  type: "str"
  returned: "always"
cluster_id_dec:
  description:
    - "The same in decimal; a string, because it needs 64 bits."
  type: "str"
  returned: "always"
gate:
  description:
    - "What the gate says about O(if)."
  type: "dict"
  returned: "when known"
  contains:
    code:
      description:
        - "The reason against it, for programs: V(quorum), V(join_in_flight) and others."
      type: "str"
      returned: "when known"
    order:
      description:
        - "V(stop_first) or V(remove_first), where a running voter is removed."
      type: "str"
      returned: "when known"
    path:
      description:
        - "The sub-steps that were judged, in their order."
      type: "list"
      elements: "str"
      returned: "when known"
    safe:
      description:
        - "Whether the operation may begin."
      type: "bool"
      returned: "always"
    text:
      description:
        - "The reason against it: what was observed, what is needed, and the way out."
      type: "str"
      returned: "when known"
hashkv:
  description:
    - "The comparison of hashes, where it was asked for."
  type: "dict"
  returned: "when known"
  contains:
    equal:
      description:
        - "Whether they are equal; none when fewer than two gave one."
      type: "bool"
      returned: "when known"
    members:
      description:
        - "How many members gave one."
      type: "int"
      returned: "always"
    revision:
      description:
        - "The revision at which all were asked."
      type: "int"
      returned: "always"
leader:
  description:
    - "The leader that the voters agree on most."
  type: "dict"
  returned: "when known"
  contains:
    id:
      description:
        - "Its id, hexadecimal."
      type: "str"
      returned: "always"
    name:
      description:
        - "Its name."
      type: "str"
      returned: "always"
    raft_term:
      description:
        - "The raft term."
      type: "int"
      returned: "always"
linearizable:
  description:
    - "Whether a quorum confirmed the member list right before it was read."
  type: "bool"
  returned: "always"
members:
  description:
    - "The members, by name."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    client_urls:
      description:
        - "Where clients reach it."
      type: "list"
      elements: "str"
      returned: "when known"
    db_quota:
      description:
        - "Its quota in bytes; etcd tells it since 3.6."
      type: "int"
      returned: "when known"
    db_size:
      description:
        - "Size of its database file in bytes."
      type: "int"
      returned: "when known"
    db_size_in_use:
      description:
        - "Bytes of it that are in use."
      type: "int"
      returned: "when known"
    hash:
      description:
        - "Its hash, where it was asked for."
      type: "int"
      returned: "when known"
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
    is_leader:
      description:
        - "Whether it leads."
      type: "bool"
      returned: "always"
    latency_ms:
      description:
        - "How long a linearizable read through it took, in milliseconds."
      type: "int"
      returned: "when known"
    missing:
      description:
        - "The points that were not, in words."
      type: "list"
      elements: "str"
      returned: "when known"
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
    proven:
      description:
        - "Whether every point of evidence was seen."
      type: "bool"
      returned: "always"
    raft_applied_index:
      description:
        - "Raft index it has applied."
      type: "int"
      returned: "when known"
    raft_index:
      description:
        - "Raft index it knows to be committed."
      type: "int"
      returned: "when known"
    raft_term:
      description:
        - "Raft term it is in."
      type: "int"
      returned: "when known"
    revision:
      description:
        - "Revision of its store."
      type: "int"
      returned: "when known"
    role:
      description:
        - "V(voter) or V(learner)."
      type: "str"
      returned: "always"
    version:
      description:
        - "Version of the server."
      type: "str"
      returned: "when known"
quorum:
  description:
    - "How far the cluster is from losing its quorum."
  type: "dict"
  returned: "always"
  contains:
    needed:
      description:
        - "How many must agree."
      type: "int"
      returned: "always"
    proven:
      description:
        - "Of them proven."
      type: "int"
      returned: "always"
    tolerates:
      description:
        - "How many more proven voters may be lost."
      type: "int"
      returned: "always"
    voters:
      description:
        - "Members with a vote, nameless ones included."
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
sample:
  description:
    - "This sample of the evidence, for O(quorate.controlplane.etcd_member#module:sample)."
  type: "dict"
  returned: "always"
  contains:
    cluster_id:
      description:
        - "The cluster, hexadecimal."
      type: "str"
      returned: "always"
    proven:
      description:
        - "Ids of the proven members, hexadecimal."
      type: "list"
      elements: "str"
      returned: "when known"
    taken_at:
      description:
        - "Seconds since 1970."
      type: "int"
      returned: "always"
'''
