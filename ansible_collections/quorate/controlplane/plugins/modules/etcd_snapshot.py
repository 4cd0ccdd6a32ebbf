#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "etcd_snapshot"
short_description: "Saves a verified snapshot of an etcd cluster, verifies one, lists and prunes them"
version_added: "0.1.0"
description:
  - "Saves a verified snapshot of an etcd cluster, verifies one, lists and prunes them."
  - "Takes it from one proven follower near the leader, verifies the hash at its end while it streams, and gives the file its name only when all of it is on the disk. A file that is there under its name is whole."
  - "Beside each file lies C(<name>.json): whose data it is, the members and their versions, the revision, the hashes, and for k3s the fingerprint of the server token that a restore of it needs."
  - "A snapshot holds every Secret of the cluster in clear; files have mode C(0600)."
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
  compare_hashes:
    description:
      - "Whether the member's keys must hash to the same as another voter's before its snapshot counts. It walks all keys of every member once."
    type: "bool"
    default: true
  dest:
    description:
      - "Directory for the snapshots, with O(state=present). It is made with mode C(0700) where it is missing."
    type: "path"
    default: "/var/backups/etcd"
  endpoints:
    description:
      - "Client URLs of members. One is enough to find the others; several are needed where one may be down."
    type: "list"
    elements: "str"
    default:
      - "https://127.0.0.1:2379"
    aliases:
      - "endpoint"
  fetch_to:
    description:
      - "File or directory on the controller that the snapshot is brought to, over the task's own connection, verified by its SHA-256."
      - "What lies there with the same content is left alone. The collection does this, after the program on the target has ended."
    type: "str"
  keep:
    description:
      - "How many snapshots of this cluster to keep in O(dest). All when it is not given. With O(state=pruned), of each cluster."
      - "Only valid files with this module's names are counted, and deleted, after the new one is there."
    type: "int"
  max_age:
    description:
      - "No snapshot is taken while the newest valid one of this cluster in O(dest) is younger than this."
    type: "str"
  newer_than:
    description:
      - "No snapshot is taken when the newest valid one of this cluster in O(dest) was taken after this moment: RFC 3339, or seconds since 1970."
      - "Given together with O(max_age), both must hold. Given neither, every run takes one."
    type: "str"
  path:
    description:
      - "File to verify, with O(state=verified)."
    type: "path"
  state:
    description:
      - "What shall be."
      - "V(present): There is a snapshot that is young enough."
      - "V(verified): The file O(path) is a whole snapshot. No cluster is asked."
      - "V(listed): RV(files) tells what is in O(dest), of every cluster. No cluster is asked, and nothing is changed."
      - "V(pruned): Of each cluster no more than O(keep) valid snapshots are in O(dest). No cluster is asked."
    type: "str"
    default: "present"
    choices:
      - "present"
      - "verified"
      - "listed"
      - "pruned"
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "10m"
  verify:
    description:
      - "Whether O(state=listed) reads every file to its end; without it only names, sizes and what lies beside the files are read."
    type: "bool"
    default: false
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
- name: Save a snapshot, and keep the last seven
  quorate.controlplane.etcd_snapshot:
    dest: /var/backups/etcd
    keep: 7

- name: Save one unless there is one from after the lock was taken
  quorate.controlplane.etcd_snapshot:
    newer_than: "{{ lock.acquired }}"
  register: snapshot

- name: Verify a copy
  quorate.controlplane.etcd_snapshot:
    state: verified
    path: /srv/copies/etcd-8e9e05c52164694d-20261121T082233.120Z.db

- name: See what there is, without a cluster
  quorate.controlplane.etcd_snapshot:
    state: listed
    dest: /var/backups/etcd
  register: snapshots

- name: Keep the last three of each cluster
  quorate.controlplane.etcd_snapshot:
    state: pruned
    dest: /var/backups/etcd
    keep: 3
'''

RETURN = r'''
---
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
cluster_id:
  description:
    - "Id of the cluster, hexadecimal."
  type: "str"
  returned: "when known"
etcd_version:
  description:
    - "Its version of etcd."
  type: "str"
  returned: "when known"
files:
  description:
    - "What is known of each file in the directory with a name of this module: of this cluster, or with O(state=listed) and O(state=pruned) of every one."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    cluster_id:
      description:
        - "Id of its cluster, hexadecimal."
      type: "str"
      returned: "always"
    etcd_version:
      description:
        - "Version of etcd of that member."
      type: "str"
      returned: "when known"
    k3s_token_fingerprints:
      description:
        - "Fingerprints of the server tokens of k3s, the first 12 hexadecimal digits of their SHA-256."
      type: "list"
      elements: "str"
      returned: "when known"
    member:
      description:
        - "Name of the member it was taken from."
      type: "str"
      returned: "when known"
    members:
      description:
        - "Names of the members then."
      type: "list"
      elements: "str"
      returned: "when known"
    name:
      description:
        - "Its name."
      type: "str"
      returned: "always"
    revision:
      description:
        - "It holds at least this revision."
      type: "int"
      returned: "when known"
    size:
      description:
        - "Its size in bytes."
      type: "int"
      returned: "always"
    taken_at:
      description:
        - "When it was begun, RFC 3339."
      type: "str"
      returned: "always"
    validity:
      description:
        - "V(valid) when it was read to its end and is whole, V(unread) when it was not read, else why it is not."
      type: "str"
      returned: "always"
member:
  description:
    - "Name of that member."
  type: "str"
  returned: "when known"
member_id:
  description:
    - "Id of the member it was taken from, hexadecimal."
  type: "str"
  returned: "when known"
member_id_dec:
  description:
    - "The same as a decimal number."
  type: "str"
  returned: "when known"
path:
  description:
    - "The newest snapshot of this cluster, or the file that was verified. Not known in check mode when one would be taken."
  type: "str"
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
revision:
  description:
    - "The snapshot holds at least this revision."
  type: "int"
  returned: "when known"
revision_at_most:
  description:
    - "The snapshot holds at most this revision."
  type: "int"
  returned: "when known"
sha256:
  description:
    - "SHA-256 of the whole file, as C(sha256sum) shows it."
  type: "str"
  returned: "when known"
size:
  description:
    - "Its size in bytes."
  type: "int"
  returned: "when known"
snapshots:
  description:
    - "Names of all snapshots of this cluster in the directory that are not known to be invalid, the newest first."
  type: "list"
  elements: "str"
  returned: "when known"
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
taken_at:
  description:
    - "When it was begun, RFC 3339."
  type: "str"
  returned: "when known"
'''
