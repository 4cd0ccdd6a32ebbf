#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "etcd_recover"
short_description: "Recovers an etcd cluster that has lost its quorum from the survivor that holds most"
version_added: "0.1.0"
description:
  - "Recovers an etcd cluster that has lost its quorum from the survivor that holds most."
  - "Three states, in this order. V(surveyed) on every host that is left reads what the log of its member holds and changes nothing. V(fenced) on all hosts but the chosen one stops the member for good and sets its data aside. V(recovered) on the chosen one makes it the only voter, on its own data."
  - "Nothing here is automatic: a recovery names the cluster and the node in O(confirm), all other members must be proven stopped for good, and a survivor that holds less than another is refused. Old voters that start again on their old data hold the old quorum, and would be a second cluster of the same name."
  - "The log is read as etcd reads it, checksums included; the times of files mean nothing. Every entry that the survivor holds is kept, also those that it did not know to be committed yet, which C(etcd --force-new-cluster) alone would throw away."
  - "For plain etcd and kubeadm. Data directory and certificates are copied to O(backup_dir) first."
author:
  - "Quorate contributors (@quorate)"
options:
  accept_older:
    description:
      - "Recover from this survivor although another holds more. What only the other holds is lost."
    type: "bool"
    default: false
  backup_dir:
    description:
      - "Where data and certificates are copied to before anything is changed, and where manifests are set aside."
    type: "path"
    default: "/var/lib/quorate/etcd-recover"
  bump_revision:
    description:
      - "How far the revision of a restored snapshot is raised, and all before marked as compacted: watchers of the lost time must not see revisions go back."
    type: "int"
    default: 1000000000
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
  confirm:
    description:
      - "The id of the cluster as V(surveyed) shows it, a space, and the name of the member on this host: who writes that knows which one is kept or given up."
    type: "str"
  data_dir:
    description:
      - "Data directory of the member, its C(--data-dir)."
    type: "path"
    default: "/var/lib/etcd"
  endpoints:
    description:
      - "Client URLs of this member, to see whether it serves."
    type: "list"
    elements: "str"
    default:
      - "https://127.0.0.1:2379"
    aliases:
      - "endpoint"
  etcd:
    description:
      - "Program of etcd, of the version that wrote the data. It runs once, reachable by nobody."
      - "With kubeadm it is only in the image: C(ctr --namespace k8s.io images mount <image> <directory>) shows it as C(<directory>/usr/local/bin/etcd)."
    type: "path"
    default: "etcd"
  etcdutl:
    description:
      - "Program C(etcdutl) of the version of etcd, for O(snapshot)."
    type: "path"
    default: "etcdutl"
  manifest:
    description:
      - "The static manifest of etcd. Where it is, or was before it was set aside, the kubelet starts and stops the member."
    type: "path"
    default: "/etc/kubernetes/manifests/etcd.yaml"
  name:
    description:
      - "Name of the member on this host, its C(--name). Default: the name of the host."
    type: "str"
  others_stopped:
    description:
      - "Names of members whose hosts are proven to be powered off and will not start by themselves."
    type: "list"
    elements: "str"
  peer_url:
    description:
      - "Peer URL of the member on this host, for O(snapshot)."
    type: "str"
  pki:
    description:
      - "Directories of certificates and keys to copy. What is not there is left out."
    type: "list"
    elements: "path"
    default:
      - "/etc/kubernetes/pki"
      - "/etc/etcd"
  snapshot:
    description:
      - "Restore this snapshot on this host, instead of its own data: where no survivor is left, or none that is whole. Members of the restored cluster have other ids."
      - "What was written after the snapshot is lost. The file must have been verified (M(quorate.controlplane.etcd_snapshot))."
    type: "path"
  state:
    description:
      - "What is wanted."
      - "V(surveyed): What the member on this host holds is known. Nothing is changed."
      - "V(fenced): The member on this host is stopped, will not start by itself, and its data is set aside in C(member.fenced)."
      - "V(recovered): The member on this host is the only voter."
    type: "str"
    default: "surveyed"
    choices:
      - "surveyed"
      - "fenced"
      - "recovered"
  surveys:
    description:
      - "RV(survey) of every other host that could be surveyed. A survivor is chosen only against all of them."
    type: "list"
    elements: "dict"
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "30m"
  unit:
    description:
      - "The systemd unit that runs the member, without kubeadm. When neither is there, the member is left stopped in the end."
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
- name: Read what every host that is left holds
  quorate.controlplane.etcd_recover:
    state: surveyed
  register: etcd

- name: Show them, the best first
  ansible.builtin.debug:
    msg: "{{ hostvars[item].etcd.survey }}"
  loop: "{{ ansible_play_hosts }}"

- name: Stop all but the chosen one for good
  quorate.controlplane.etcd_recover:
    state: fenced
    confirm: "{{ etcd.survey.cluster_id }} {{ etcd.survey.name }}"
  register: etcd
  when: inventory_hostname != survivor

- name: Recover the cluster from the chosen one, while cp3 is powered off with onboot=0
  quorate.controlplane.etcd_recover:
    state: recovered
    confirm: cdf818194e3a8c32 cp2
    surveys: "{{ ansible_play_hosts | difference([survivor]) | map('extract', hostvars, 'etcd') | map(attribute='survey') }}"
    others_stopped: [cp3]
    etcd: /usr/local/bin/etcd
  when: inventory_hostname == survivor

- name: Where no survivor is whole, restore a verified snapshot on one host
  quorate.controlplane.etcd_recover:
    state: recovered
    confirm: cdf818194e3a8c32 cp2
    others_stopped: [cp1, cp3]
    snapshot: /var/backups/etcd-20261121T030000Z.db
    peer_url: https://198.18.0.12:2380
    etcdutl: /usr/local/bin/etcdutl
'''

RETURN = r'''
---
backup:
  description:
    - "Where the copy of data and certificates is."
  type: "str"
  returned: "when known"
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
next:
  description:
    - "What is left to be done, in sentences."
  type: "list"
  elements: "str"
  returned: "when known"
recovered:
  description:
    - "The member on this host is the only voter."
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
survey:
  description:
    - "What this host holds, to be handed to the others as O(surveys)."
  type: "dict"
  returned: "always"
  contains:
    cluster_id:
      description:
        - "Id of its cluster, hexadecimal; empty where there is no data."
      type: "str"
      returned: "always"
    commit:
      description:
        - "Up to which entry it knows that a quorum agreed (C(HardState)). etcd writes this late."
      type: "int"
      returned: "always"
    damage:
      description:
        - "Why its log cannot be read to its end, where it cannot. A record that was only half written when the host went down is none: etcd repairs it."
      type: "str"
      returned: "when known"
    fenced:
      description:
        - "It is stopped for good: no process, nothing that would start it, and no data where it would look for it."
      type: "bool"
      returned: "always"
    has_data:
      description:
        - "There is a log."
      type: "bool"
      returned: "always"
    last_index:
      description:
        - "Index of the last entry of its log."
      type: "int"
      returned: "always"
    last_term:
      description:
        - "Term of the last entry of its log."
      type: "int"
      returned: "always"
    member_id:
      description:
        - "Its id, hexadecimal; empty where there is no data."
      type: "str"
      returned: "always"
    name:
      description:
        - "Name of the member."
      type: "str"
      returned: "always"
    running:
      description:
        - "Its data is in use by a process."
      type: "bool"
      returned: "always"
    starts:
      description:
        - "Something on its host would start it: a static manifest, an enabled or active unit."
      type: "bool"
      returned: "always"
    term:
      description:
        - "The newest term that its log knows of (C(HardState))."
      type: "int"
      returned: "always"
    voters:
      description:
        - "Ids of the voters, as far as its log tells them."
      type: "list"
      elements: "str"
      returned: "when known"
survivors:
  description:
    - "All that were surveyed, the best first."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    best:
      description:
        - "Nobody holds more."
      type: "bool"
      returned: "always"
    cluster_id:
      description:
        - "Id of its cluster, hexadecimal."
      type: "str"
      returned: "always"
    commit:
      description:
        - "Up to which entry it knows that a quorum agreed."
      type: "int"
      returned: "always"
    damage:
      description:
        - "Why its log cannot be read to its end."
      type: "str"
      returned: "when known"
    fenced:
      description:
        - "It is stopped for good."
      type: "bool"
      returned: "always"
    last_index:
      description:
        - "Index of the last entry of its log."
      type: "int"
      returned: "always"
    last_term:
      description:
        - "Term of the last entry of its log."
      type: "int"
      returned: "always"
    member_id:
      description:
        - "Its id, hexadecimal."
      type: "str"
      returned: "always"
    name:
      description:
        - "Name of the member."
      type: "str"
      returned: "always"
    term:
      description:
        - "The newest term that its log knows of."
      type: "int"
      returned: "always"
'''
