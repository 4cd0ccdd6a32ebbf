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
  - "RV(verdict) and RV(causes) say what is wrong, on what evidence, and which module or playbook is the way out. Where no quorum answers, what this host itself shows of its member is read as well: its unit, etcd's own word on its health, its data."
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
  count_keys:
    description:
      - "Prefixes below which keys are counted, in all and by the next part of their names, such as C(/registry/). No key is loaded."
    type: "list"
    elements: "str"
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
  kubeconfig:
    description:
      - "Kubeconfig of the cluster. When given, members without a Node and control-plane Nodes without a member are told."
    type: "path"
  metrics:
    description:
      - "Reads each member's metrics too: how slow its disk is, its quota before etcd 3.6, and its clock."
    type: "bool"
    default: true
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
    fail_msg: "{{ etcd.gate.text | default('', true) }}"

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
causes:
  description:
    - "What is wrong, with the evidence and the way out, the gravest first."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    code:
      description:
        - "Its name, for programs."
        - "V(no_leader): No leader serves a quorum."
        - "V(corrupt): A member's data differs from the others'. Every write is refused."
        - "V(nospace): A database is over its quota. Every write is refused."
        - "V(certificate): A certificate is over, not valid yet, of another authority or name, or without the right."
        - "V(unreachable): It does not answer."
        - "V(not_in_member_list): It runs, or has data or a Node, and the cluster does not list it."
        - "V(foreign_member): Somebody else answers at its address: a member of another cluster, or one that lost its data and founded its own."
        - "V(nameless_member): It is listed and has never started. A voter counts towards the quorum all the same."
        - "V(learner_stuck): It receives the log and gets no vote."
        - "V(disagreement): It follows another leader, is in another term, or lists other members than the rest."
        - "V(lagging): Its log is far behind the leader's."
        - "V(slow_disk): Its disk is too slow: syncs of the log or reads take as long as heartbeats."
        - "V(write_storm): So much is written that the log grows by more than a thousand entries a second, or proposals queue."
        - "V(clock): Its clock differs from the others'."
        - "V(version_gap): Members run different versions, or ones that must not run together."
        - "V(duplicate_name): Two listed members have the same name."
        - "V(node): Its Node is missing or not healthy."
        - "V(few_voters): One or two voters tolerate the loss of none."
        - "V(certificate_ends): A certificate ends within thirty days, or in the last third of a shorter life. Nothing is refused yet."
      type: "str"
      returned: "always"
      choices:
        - "no_leader"
        - "corrupt"
        - "nospace"
        - "certificate"
        - "unreachable"
        - "not_in_member_list"
        - "foreign_member"
        - "nameless_member"
        - "learner_stuck"
        - "disagreement"
        - "lagging"
        - "slow_disk"
        - "write_storm"
        - "clock"
        - "version_gap"
        - "duplicate_name"
        - "node"
        - "few_voters"
        - "certificate_ends"
    evidence:
      description:
        - "What was seen."
      type: "list"
      elements: "str"
      returned: "when known"
    member_id:
      description:
        - "Id of that member, hexadecimal."
      type: "str"
      returned: "when known"
    subject:
      description:
        - "The member it is about, by name or address, and id; a URL or a host's path where it is no member."
      type: "str"
      returned: "when known"
    way_out:
      description:
        - "What to do, naming the module or playbook."
      type: "str"
      returned: "always"
certificates:
  description:
    - "Certificates that members show to clients and to each other, and the client certificate that was used."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    days_left:
      description:
        - "Whole days until then; below zero when it is over."
      type: "int"
      returned: "always"
    lifetime_days:
      description:
        - "Whole days from its beginning to its end."
      type: "int"
      returned: "always"
    member_id:
      description:
        - "Id of the member that showed it, hexadecimal; none for the client certificate that was used."
      type: "str"
      returned: "when known"
    not_after:
      description:
        - "Its end, as in C(2027-11-21T08:00:00Z)."
      type: "str"
      returned: "always"
    subject:
      description:
        - "The common name of its subject; empty where it has none."
      type: "str"
      returned: "always"
    url:
      description:
        - "URL where it was shown: a client URL or a peer URL."
      type: "str"
      returned: "when known"
cluster_id:
  description:
    - "Id of the cluster, hexadecimal; C(0) when nobody told it."
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
    exception:
      description:
        - "What would be the reason against it without the permission given in O(if)."
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
keys:
  description:
    - "Numbers of keys, for O(count_keys)."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    children:
      description:
        - "The same by the next part of the key, the largest first; at most 200."
      type: "list"
      elements: "dict"
      returned: "when known"
      contains:
        count:
          description:
            - "How many."
          type: "int"
          returned: "always"
        prefix:
          description:
            - "The prefix with it."
          type: "str"
          returned: "always"
    count:
      description:
        - "All keys below it."
      type: "int"
      returned: "always"
    prefix:
      description:
        - "The prefix."
      type: "str"
      returned: "always"
    rest:
      description:
        - "Keys below parts that were not looked at."
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
lists_agree:
  description:
    - "Whether all members that answer list the same members."
  type: "bool"
  returned: "always"
local:
  description:
    - "What this host shows of its own member, where no quorum answered or the endpoint of this host did not."
  type: "dict"
  returned: "when known"
  contains:
    data_dir:
      description:
        - "Where its data lies."
      type: "str"
      returned: "when known"
    db_size:
      description:
        - "Bytes of the database there."
      type: "int"
      returned: "when known"
    health:
      description:
        - "What etcd says of its own health at its listener for metrics: V(true), or the reason against it."
      type: "str"
      returned: "when known"
    log_written_s_ago:
      description:
        - "How many seconds ago the log there was written last."
      type: "int"
      returned: "when known"
    manifest:
      description:
        - "Whether kubeadm's static pod is to run."
      type: "bool"
      returned: "always"
    removed:
      description:
        - "k3s noted there that its member was removed."
      type: "bool"
      returned: "always"
    units:
      description:
        - "Units that could run a member."
      type: "list"
      elements: "dict"
      returned: "when known"
      contains:
        name:
          description:
            - "Its name."
          type: "str"
          returned: "always"
        restarts:
          description:
            - "How often it was restarted by itself."
          type: "int"
          returned: "always"
        result:
          description:
            - "How its last run ended."
          type: "str"
          returned: "always"
        state:
          description:
            - "Its state, such as C(active/running) or C(activating/auto-restart)."
          type: "str"
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
    clock_ahead_s:
      description:
        - "By how many seconds its clock is ahead of this host's, to the second."
      type: "int"
      returned: "when known"
    commit_p99_ms:
      description:
        - "99 of 100 commits of its database took at most so many milliseconds, since it started."
      type: "float"
      returned: "when known"
    db_quota:
      description:
        - "Its quota in bytes; from its metrics before etcd 3.6."
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
    fsync_p99_ms:
      description:
        - "99 of 100 syncs of its log took at most so many milliseconds, since it started."
      type: "float"
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
    raft_lag:
      description:
        - "How many entries of the leader's log it has not applied, in two samples."
      type: "list"
      elements: "int"
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
nodes:
  description:
    - "Members without a Node and control-plane Nodes without a member, where O(kubeconfig) was given."
  type: "dict"
  returned: "when known"
  contains:
    members_without_node:
      description:
        - "Names of members that no Node belongs to."
      type: "list"
      elements: "str"
      returned: "when known"
    nodes_without_member:
      description:
        - "Names of control-plane Nodes that no member belongs to."
      type: "list"
      elements: "str"
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
summary:
  description:
    - "The same in one sentence, for people."
  type: "str"
  returned: "always"
terms_agree:
  description:
    - "Whether all members that answer follow the same leader in the same term."
  type: "bool"
  returned: "always"
unread:
  description:
    - "What was asked for and could not be read, and why."
  type: "list"
  elements: "str"
  returned: "when known"
verdict:
  description:
    - "V(healthy), also when a certificate ends soon; V(degraded) when something is wrong and at least one more voter may be lost; V(at_risk) when none may; V(quorum_lost) when no quorum answers; V(unknown) when nobody tells."
    - "V(healthy): Nothing is wrong."
    - "V(degraded): Something is wrong, and at least one more voter may be lost."
    - "V(at_risk): No further voter may be lost."
    - "V(quorum_lost): No quorum answers: nothing is written, and nothing is read that is certain."
    - "V(unknown): Nobody tells."
  type: "str"
  returned: "always"
  choices:
    - "healthy"
    - "degraded"
    - "at_risk"
    - "quorum_lost"
    - "unknown"
writable:
  description:
    - "Whether the cluster takes writes, as far as can be seen without one."
  type: "bool"
  returned: "always"
'''
