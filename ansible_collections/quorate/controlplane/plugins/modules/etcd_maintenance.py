#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "etcd_maintenance"
short_description: "Compacts and defragments an etcd cluster, one member at a time, and disarms alarms that no longer apply"
version_added: "0.1.0"
description:
  - "Compacts and defragments an etcd cluster, one member at a time, and disarms alarms that no longer apply."
  - "Run it on any host that reaches the client URLs of all members."
  - "Each step is taken only where it helps: a member is defragmented when enough of its file is free, and an alarm is disarmed when its cause is gone."
  - "A member that is being defragmented serves nothing. So members take turns, the smallest follower first and the leader last, after it has handed over; in between every member must have been proven healthy for five seconds. With a learner, a lagging or a broken member, or an etcd whose defragmentation is known to corrupt data, nothing is begun. The first anomaly ends the run."
  - "Meanwhile a linearizable read through another member is tried every 50 ms; the longest time that none came through is returned."
author:
  - "Quorate contributors (@quorate)"
options:
  allow_affected_version:
    description:
      - "Defragment etcd before 3.5.23 and 3.6.0 to 3.6.4, where a snapshot that arrives meanwhile corrupts the data."
    type: "bool"
    default: false
  allow_downtime:
    description:
      - "Defragment one of one or two voters, which stops every read and write meanwhile."
    type: "bool"
    default: false
  allow_unknown_disk:
    description:
      - "Defragment a member although nobody knows whether its disk has room for the copy. etcd gives up where it has none, and goes on with the old file."
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
  compact_age:
    description:
      - "Compact what is older than this first. The age of a revision is told by the leases that Kubernetes renews, so it needs Kubernetes."
      - "History that is a tenth (at least a minute) older than this is tolerated, so that a second run has nothing to do."
    type: "str"
  compact_revision:
    description:
      - "Compact the history up to this revision first. Older revisions of keys can no longer be read or watched from."
    type: "int"
  data_dir:
    description:
      - "Data directory of the member on this host."
    type: "path"
    default: "/var/lib/etcd"
  defragment:
    description:
      - "Defragment the members for which it helps."
    type: "bool"
    default: true
  disarm:
    description:
      - "Disarm NOSPACE when the database of every member is below 90 percent of its quota, and alarms of members that are listed no more."
    type: "bool"
    default: true
  endpoints:
    description:
      - "Client URLs of members. One is enough to find the others; several are needed where one may be down."
    type: "list"
    elements: "str"
    default:
      - "https://127.0.0.1:2379"
    aliases:
      - "endpoint"
  free_disk:
    description:
      - "Free bytes of the file system that holds the data, by the name of the member. Defragmenting writes a copy of what is in use beside the old file."
      - "For a member on this host it is measured, in O(data_dir)."
    type: "dict"
  kubeconfig:
    description:
      - "Kubeconfig for the lock. Default: C(/etc/kubernetes/admin.conf), else C(/etc/rancher/k3s/k3s.yaml)."
    type: "path"
  kubernetes_prefix:
    description:
      - "Where the keys of Kubernetes lie, for O(compact_age)."
    type: "str"
    default: "/registry"
  lock_holder:
    description:
      - "Who holds the control plane's lock. When given, the lock is proven to be held right before each change."
    type: "str"
  min_size:
    description:
      - "Smaller files are left alone, unless they take up more than 60 percent of the quota."
    type: "str"
    default: "100M"
  quota:
    description:
      - "The quota of a member that does not tell it, as before etcd 3.6."
    type: "str"
    default: "2G"
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "1h"
  when_fragmented:
    description:
      - "The part of the database file that must be free for a defragmentation to be worth its stall."
      - "Under NOSPACE a member is defragmented as well when that alone brings it below its quota."
    type: "float"
    default: "0.3"
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
- name: Win back the space of deleted keys, one member at a time
  quorate.controlplane.etcd_maintenance:
    free_disk:
      cp1: 20G
      cp2: 20G
      cp3: 20G

- name: After a storm of writes has filled the database, compact to what is needed, defragment, and disarm NOSPACE
  quorate.controlplane.etcd_maintenance:
    compact_age: 10m
    allow_unknown_disk: true
    endpoints:
      - https://198.18.0.11:2379
      - https://198.18.0.12:2379
      - https://198.18.0.13:2379

- name: Only compact, to a revision that a dump of the keys was taken at
  quorate.controlplane.etcd_maintenance:
    compact_revision: 128401
    defragment: false
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
bytes_won:
  description:
    - "Bytes that the files have become smaller by, all members together, as far as that is known."
  type: "int"
  returned: "always"
compacted_revision:
  description:
    - "Revision up to which the history is compacted, where that was asked for and is so."
  type: "int"
  returned: "when known"
defragmented:
  description:
    - "Members that this run has defragmented, or would."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    failed_reads:
      description:
        - "How many of them failed."
      type: "int"
      returned: "always"
    id:
      description:
        - "Id of the member, hexadecimal."
      type: "str"
      returned: "always"
    longest_stall_ms:
      description:
        - "The longest time that no linearizable read came through another member meanwhile; none where there is no other."
      type: "int"
      returned: "when known"
    name:
      description:
        - "Its name."
      type: "str"
      returned: "always"
    reads:
      description:
        - "How many of these reads were tried, one every 50 ms."
      type: "int"
      returned: "always"
    size_after:
      description:
        - "Size of its file after, in bytes."
      type: "int"
      returned: "when known"
    size_before:
      description:
        - "Size of its file before, in bytes."
      type: "int"
      returned: "always"
    took_ms:
      description:
        - "How long it took, in milliseconds."
      type: "int"
      returned: "always"
longest_stall_ms:
  description:
    - "The longest time in milliseconds that no linearizable read came through another member while one was defragmented."
  type: "int"
  returned: "when known"
members:
  description:
    - "The members, by name."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    db_in_use:
      description:
        - "Bytes of it that are in use; none when it is not known, as before a compaction."
      type: "int"
      returned: "when known"
    db_size:
      description:
        - "Size of its file in bytes; none when it is not known."
      type: "int"
      returned: "when known"
    free_percent:
      description:
        - "Percent of its file that is free."
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
    name:
      description:
        - "Its name."
      type: "str"
      returned: "always"
    quota:
      description:
        - "Its quota in bytes, where it tells it."
      type: "int"
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
'''
