#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "kubeadm_join_material"
short_description: "Makes and revokes what a kubeadm control-plane join needs"
version_added: "0.1.0"
description:
  - "Makes and revokes what a kubeadm control-plane join needs."
  - "Runs on a healthy control-plane host, a peer of the one that joins. Token and certificate key are made by the controller: secrets only flow in, never into a reply or an argument list."
  - "With O(state=present) creates a short-lived bootstrap token and uploads the cluster's certificates, encrypted with the key, then returns what M(quorate.controlplane.kubeadm_join) must be told. Refused while another host is joining, while etcd must not get one more member, and while a Node of that name exists that is not the unfinished join's own. Does nothing for a host that has joined."
  - "With O(state=absent) revokes every token made for the node and the uploaded certificates."
author:
  - "Quorate contributors (@quorate)"
options:
  address:
    description:
      - "Address of the host that joins: that of its etcd peer URL."
    type: "str"
  ca_cert:
    description:
      - "Authority of the members' certificates. Default: as kubeadm lays it down."
    type: "path"
  certificate_key:
    description:
      - "Key to encrypt the certificates with: 64 hexadecimal digits."
    type: "str"
  client_cert:
    description:
      - "Client certificate for etcd. Default: as kubeadm lays it down."
    type: "path"
  client_key:
    description:
      - "Its key. Default: as kubeadm lays it down."
    type: "path"
  endpoints:
    description:
      - "Client URLs of etcd members, one of them on this host."
    type: "list"
    elements: "str"
    default:
      - "https://127.0.0.1:2379"
  kubeconfig:
    description:
      - "Kubeconfig of an administrator; its current context counts, for kubeadm takes no other. Default: kubeadm's."
    type: "path"
  lock_holder:
    description:
      - "Who this run is in the control plane's lock. Given, the lock is proven to be this run's own before each change."
    type: "str"
  node:
    description:
      - "Name of the Node that joins."
    type: "str"
    required: true
    aliases:
      - "name"
  state:
    description:
      - "What to reach."
      - "V(present): Token and certificates lie in the cluster."
      - "V(absent): Neither does."
    type: "str"
    default: "present"
    choices:
      - "present"
      - "absent"
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "2m"
  token:
    description:
      - "Bootstrap token, as C(abcdef.0123456789abcdef)."
    type: "str"
  token_ttl:
    description:
      - "How long the token is valid."
    type: "str"
    default: "30m"
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
- name: Put token and certificates into the cluster
  quorate.controlplane.kubeadm_join_material:
    node: cp2
    address: 198.18.0.12
    token: "{{ join_token }}"
    certificate_key: "{{ join_key }}"
  delegate_to: cp1
  register: material

- name: Revoke them once the host has joined, whichever token was used
  quorate.controlplane.kubeadm_join_material:
    state: absent
    node: cp2
  delegate_to: cp1
'''

RETURN = r'''
---
api_endpoint:
  description:
    - "The control plane's stable endpoint, host and port."
  type: "str"
  returned: "when known"
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
ca_cert_hashes:
  description:
    - "Pins of the cluster's CA, as C(sha256:<hex>)."
  type: "list"
  elements: "str"
  returned: "when known"
ca_certificate:
  description:
    - "The cluster's CA certificate as PEM."
  type: "str"
  returned: "always"
certificates_ready:
  description:
    - "Whether the certificates lie in the cluster, encrypted with the key given."
  type: "bool"
  returned: "always"
cluster_id:
  description:
    - "Id of the etcd cluster, hexadecimal."
  type: "str"
  returned: "always"
etcd_endpoints:
  description:
    - "Client URLs of the voters other than the joining host's."
  type: "list"
  elements: "str"
  returned: "when known"
kubernetes_version:
  description:
    - "Version of the control plane, as C(v1.36.3)."
  type: "str"
  returned: "always"
listed_member:
  description:
    - "What the members list at the joining host's peer URL."
    - "V(none): No member."
    - "V(nameless): A learner that never started."
    - "V(learner): A member without a vote."
    - "V(voter): A member with a vote."
  type: "str"
  returned: "always"
  choices:
    - "none"
    - "nameless"
    - "learner"
    - "voter"
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
token_ids:
  description:
    - "Ids of the bootstrap tokens for this node. An id alone is no secret."
  type: "list"
  elements: "str"
  returned: "when known"
token_ready:
  description:
    - "Whether the bootstrap token is in the cluster and may be used."
  type: "bool"
  returned: "always"
'''
