#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "kubeadm_join"
short_description: "Joins this host to a kubeadm cluster as a control-plane node"
version_added: "0.1.0"
description:
  - "Joins this host to a kubeadm cluster as a control-plane node."
  - "Runs on the host that joins. Token and certificate key are made by the controller, put into the cluster by M(quorate.controlplane.kubeadm_join_material) on a healthy peer, and revoked by it afterwards: secrets only flow in."
  - "Writes the join configuration to a file that only root can read, in memory and never in an argument list, runs C(kubeadm join) as a transient systemd unit that a later run finds again, and waits until the host is a voter, its Node is Ready with a fresh lease, and its own apiserver is ready."
  - "A join that did not finish is cleared and done again: the kubelet stopped, the manifests moved away, and the data of etcd wiped only when no member of this host is listed any more. A host that belongs to another cluster is refused."
author:
  - "Quorate contributors (@quorate)"
options:
  advertise_address:
    description:
      - "Address that this host's apiserver and etcd member listen on. Default: the one this host reaches O(api_endpoint) from."
    type: "str"
  api_endpoint:
    description:
      - "The control plane's stable endpoint, host and port: the load balancer. RV(quorate.controlplane.kubeadm_join_material#module:api_endpoint)."
    type: "str"
    required: true
    aliases:
      - "control_plane_endpoint"
  bind_port:
    description:
      - "Port of this host's apiserver."
    type: "int"
    default: 6443
  ca_cert_hashes:
    description:
      - "Pins of the cluster's CA, as C(sha256:<hex>). At least one."
    type: "list"
    elements: "str"
    aliases:
      - "ca_cert_hash"
  ca_certificate:
    description:
      - "The cluster's CA certificate as PEM. With it, Node and version are read before anything is changed, not only by kubeadm half-way."
    type: "str"
  certificate_key:
    description:
      - "Key of the uploaded certificates: 64 hexadecimal digits."
    type: "str"
    required: true
  cluster_id:
    description:
      - "Id of the peers' etcd cluster, hexadecimal. An etcd on this host that belongs to another one is refused."
    type: "str"
    required: true
  etcd_data_dir:
    description:
      - "Data directory of etcd, as the cluster's configuration has it."
    type: "path"
    default: "/var/lib/etcd"
  etcd_endpoints:
    description:
      - "Client URLs of the peers' etcd members, to look for this host's member. At least one."
    type: "list"
    elements: "str"
    aliases:
      - "endpoints"
  ignore_preflight_errors:
    description:
      - "Checks of kubeadm whose errors are ignored, as C(Swap)."
    type: "list"
    elements: "str"
  kubeadm_extra:
    description:
      - "Further members of kubeadm's JoinConfiguration (v1beta4), merged over what this module writes."
    type: "dict"
  kubernetes_version:
    description:
      - "Version of the peers, as C(v1.36.3). kubeadm and kubelet of this host must have it."
    type: "str"
  listed_member:
    description:
      - "What the peers list at this host's peer URL, as M(quorate.controlplane.kubeadm_join_material) returns it. Used where this host has no certificates to ask them."
      - "V(none): No member."
      - "V(nameless): A learner that never started."
      - "V(learner): A member without a vote."
      - "V(voter): A member with a vote."
    type: "str"
    choices:
      - "none"
      - "nameless"
      - "learner"
      - "voter"
  lock_holder:
    description:
      - "Who this run is in the control plane's lock. Given, the lock is proven to be this run's own before each change, as soon as this host can read it."
    type: "str"
  node_name:
    description:
      - "Name of the Node. Default: the name of this host in lower case."
    type: "str"
    aliases:
      - "name"
  node_registration:
    description:
      - "How the Node registers."
    type: "dict"
    suboptions:
      cri_socket:
        description:
          - "Socket of the container runtime, as C(unix:///run/containerd/containerd.sock)."
        type: "str"
      image_pull_policy:
        description:
          - "When images are pulled: C(Always), C(IfNotPresent) or C(Never)."
        type: "str"
      kubelet_extra_args:
        description:
          - "Further flags of the kubelet: names without dashes, each with a value or a list of values."
        type: "dict"
      taints:
        description:
          - "Taints of the Node: dicts of C(key), C(value) and C(effect). Default: kubeadm's own. An empty list means none."
        type: "list"
        elements: "dict"
  patches:
    description:
      - "Directory on this host with patches for kubeadm."
    type: "path"
    aliases:
      - "patches_dir"
  skip_phases:
    description:
      - "Phases of C(kubeadm join) that are left out."
    type: "list"
    elements: "str"
  timeout:
    description:
      - "How long the whole may take."
    type: "str"
    default: "15m"
  token:
    description:
      - "Bootstrap token, as C(abcdef.0123456789abcdef)."
    type: "str"
    required: true
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
- name: Put token and certificates into the cluster, on a healthy peer
  quorate.controlplane.kubeadm_join_material:
    state: present
    node: cp2
    address: 198.18.0.12
    token: "{{ join_token }}"
    certificate_key: "{{ join_key }}"
  delegate_to: cp1
  register: material

- name: Join the host
  quorate.controlplane.kubeadm_join:
    token: "{{ join_token }}"
    certificate_key: "{{ join_key }}"
    api_endpoint: "{{ material.api_endpoint }}"
    ca_cert_hashes: "{{ material.ca_cert_hashes }}"
    ca_certificate: "{{ material.ca_certificate }}"
    cluster_id: "{{ material.cluster_id }}"
    etcd_endpoints: "{{ material.etcd_endpoints }}"
    listed_member: "{{ material.listed_member }}"
    kubernetes_version: "{{ material.kubernetes_version }}"

- name: Join a host whose kubelet needs a flag and that has swap
  quorate.controlplane.kubeadm_join:
    token: "{{ join_token }}"
    certificate_key: "{{ join_key }}"
    api_endpoint: "{{ material.api_endpoint }}"
    ca_cert_hashes: "{{ material.ca_cert_hashes }}"
    cluster_id: "{{ material.cluster_id }}"
    etcd_endpoints: "{{ material.etcd_endpoints }}"
    ignore_preflight_errors: [Swap]
    node_registration:
      cri_socket: unix:///run/containerd/containerd.sock
      kubelet_extra_args:
        node-ip: 198.18.0.12
      taints: []
'''

RETURN = r'''
---
api_ready:
  description:
    - "Whether this host's own apiserver is ready."
  type: "bool"
  returned: "always"
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
member:
  description:
    - "What the peers list at this host's peer URL."
    - "V(unknown): Nobody could be asked."
    - "V(none): No member."
    - "V(nameless): A learner that never started."
    - "V(learner): A member that receives the log and has no vote."
    - "V(voter): A member with a vote."
  type: "str"
  returned: "always"
  choices:
    - "unknown"
    - "none"
    - "nameless"
    - "learner"
    - "voter"
node:
  description:
    - "Name of this host's Node."
  type: "str"
  returned: "always"
ready:
  description:
    - "Whether the Node is Ready with a fresh lease and marked as a control-plane node."
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
remainders:
  description:
    - "Whether remainders of an earlier life or of an unfinished join lie on the host."
  type: "bool"
  returned: "always"
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
