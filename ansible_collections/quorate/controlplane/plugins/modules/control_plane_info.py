#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "control_plane_info"
short_description: "Reads what a control-plane host is made of, and judges whether another may join beside it"
version_added: "0.1.0"
description:
  - "Reads what a control-plane host is made of, and judges whether another may join beside it."
  - "On a host it reports the clock, the certificates, the static pods' manifests, the files of the host that they need and that kubeadm does not make, whether each component is ready by its own health endpoint, and versions. Of k3s it reports clock, certificates, version, and whether the apiserver is ready. The contents of files are never shown."
  - "With O(reports), such reports are judged instead: the module fails with one sentence for every finding, and changes nothing either way. It is what the replacement of a node asks of every host that stays, before it changes anything."
author:
  - "Quorate contributors (@quorate)"
options:
  asked_at:
    description:
      - "The controller's clock when the task was written out: C(now().timestamp()), seconds since 1970. With it RV(clock) tells how far the two may be apart."
    type: "float"
  files:
    description:
      - "Files to look for, as another host's report has them under RV(files), in place of those that the manifests of this host need."
    type: "list"
    elements: "dict"
  files_provided:
    description:
      - "Files that kubeadm does not make are brought to the host that joins, by its image or by its preparation. Without, there must be none."
    type: "bool"
    default: false
  fingerprint_key:
    description:
      - "A secret of this run, of at least 16 characters, that goes into RV(files[].fingerprint). It lets files be compared that must not be known by their plain hash."
    type: "str"
    aliases:
      - "salt"
  joining:
    description:
      - "Which of O(reports) is about a host that has not joined yet: its clock, files and versions are compared with the others'."
    type: "str"
  max_clock_difference:
    description:
      - "How far two clocks may be apart."
    type: "str"
    default: "1"
  min_certificate_days:
    description:
      - "How many days a certificate must be valid for."
    type: "int"
    default: 7
  name:
    description:
      - "What the report calls this host. For the judgement, the name of its Node. Default: the host's name."
    type: "str"
  reports:
    description:
      - "Reports to judge, in the order in which they were asked for, each after the answer of the one before. Several of one host add up. The results of a loop can be given as they are: one that failed or was unreachable is a finding."
    type: "list"
    elements: "dict"
  root:
    description:
      - "Where the file system of the host is: another directory for an image that is mounted there."
    type: "path"
    default: "/"
  subset:
    description:
      - "What to read."
      - "V(clock): The clock."
      - "V(certificates): The certificates, and which of them ends first."
      - "V(manifests): The manifests of the static pods, and the files that they need."
      - "V(components): Whether each component is ready."
      - "V(versions): Versions of the programs."
    type: "list"
    elements: "str"
    default:
      - "clock"
      - "certificates"
      - "manifests"
      - "components"
      - "versions"
    choices:
      - "clock"
      - "certificates"
      - "manifests"
      - "components"
      - "versions"
  timeout:
    description:
      - "How long a component may take to be ready, and a program to tell its version. A component that is not ready is asked again until then."
    type: "str"
    default: "5"
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
- name: See what this control-plane host is made of
  quorate.controlplane.control_plane_info:
  register: host

- name: Show the certificate that ends first
  ansible.builtin.debug:
    msg: "{{ host.expires_first.path }} ends on {{ host.expires_first.not_after }}"

- name: Ask every control-plane host, one after the other
  quorate.controlplane.control_plane_info:
    name: "{{ item }}"
    asked_at: "{{ now().timestamp() }}"
    fingerprint_key: "{{ secret_of_this_run }}"
  delegate_to: "{{ item }}"
  loop: "{{ groups['control_plane'] }}"
  register: hosts

- name: Refuse unless they are fit for a new one beside them
  quorate.controlplane.control_plane_info:
    reports: "{{ hosts.results }}"
    asked_at: "{{ now().timestamp() }}"
    files_provided: true
  delegate_to: localhost
  register: cluster

- name: See whether a host that is to join has the files that the others have
  quorate.controlplane.control_plane_info:
    subset: [clock, versions]
    name: cp4
    files: "{{ cluster.files }}"
    asked_at: "{{ now().timestamp() }}"
    fingerprint_key: "{{ secret_of_this_run }}"
  delegate_to: cp4
  register: fresh

- name: Refuse unless it has them, their versions and their time
  quorate.controlplane.control_plane_info:
    reports: "{{ hosts.results + [cluster, fresh] }}"
    joining: cp4
    asked_at: "{{ now().timestamp() }}"
  delegate_to: localhost
'''

RETURN = r'''
---
certificates:
  description:
    - "Every certificate of the control plane: those of the directory of certificates, and those that clients hold in C(/etc/kubernetes/*.conf)."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    days_left:
      description:
        - "Whole days left; negative when it has ended."
      type: "int"
      returned: "always"
    lifetime_days:
      description:
        - "Whole days from its beginning to its end."
      type: "int"
      returned: "always"
    not_after:
      description:
        - "When it ends, RFC 3339."
      type: "str"
      returned: "always"
    path:
      description:
        - "The file it lies in."
      type: "str"
      returned: "always"
    renews_itself:
      description:
        - "Whether the kubelet renews it by itself."
      type: "bool"
      returned: "always"
    subject:
      description:
        - "The common name of its subject."
      type: "str"
      returned: "always"
clock:
  description:
    - "This host's clock."
  type: "dict"
  returned: "when known"
  contains:
    asked_at:
      description:
        - "O(asked_at)."
      type: "float"
      returned: "when known"
    done:
      description:
        - "The same, when the report was complete."
      type: "float"
      returned: "when known"
    now:
      description:
        - "Seconds since 1970, when the module began."
      type: "float"
      returned: "always"
    since_asked:
      description:
        - "RV(clock.now) minus O(asked_at): how far this clock is ahead of the controller's, and how long the task took to get here. The smallest of a few is the nearest."
      type: "float"
      returned: "when known"
clock_difference:
  description:
    - "In a judgement: no two clocks are further apart, in seconds."
  type: "float"
  returned: "when known"
components:
  description:
    - "Whether each component says that it is ready."
  type: "dict"
  returned: "when known"
  contains:
    apiserver:
      description:
        - "kube-apiserver."
      type: "dict"
      returned: "when known"
      contains:
        ready:
          description:
            - "Whether it says that it is ready."
          type: "bool"
          returned: "always"
        url:
          description:
            - "Where it was asked."
          type: "str"
          returned: "always"
        why:
          description:
            - "Why not."
          type: "str"
          returned: "when known"
    controller_manager:
      description:
        - "kube-controller-manager."
      type: "dict"
      returned: "when known"
      contains:
        ready:
          description:
            - "Whether it says that it is ready."
          type: "bool"
          returned: "always"
        url:
          description:
            - "Where it was asked."
          type: "str"
          returned: "always"
        why:
          description:
            - "Why not."
          type: "str"
          returned: "when known"
    etcd:
      description:
        - "etcd."
      type: "dict"
      returned: "when known"
      contains:
        ready:
          description:
            - "Whether it says that it is ready."
          type: "bool"
          returned: "always"
        url:
          description:
            - "Where it was asked."
          type: "str"
          returned: "always"
        why:
          description:
            - "Why not."
          type: "str"
          returned: "when known"
    kubelet:
      description:
        - "The kubelet."
      type: "dict"
      returned: "when known"
      contains:
        ready:
          description:
            - "Whether it says that it is ready."
          type: "bool"
          returned: "always"
        url:
          description:
            - "Where it was asked."
          type: "str"
          returned: "always"
        why:
          description:
            - "Why not."
          type: "str"
          returned: "when known"
    scheduler:
      description:
        - "kube-scheduler."
      type: "dict"
      returned: "when known"
      contains:
        ready:
          description:
            - "Whether it says that it is ready."
          type: "bool"
          returned: "always"
        url:
          description:
            - "Where it was asked."
          type: "str"
          returned: "always"
        why:
          description:
            - "Why not."
          type: "str"
          returned: "when known"
distribution:
  description:
    - "V(kubeadm) or V(k3s); none where neither has left a control plane."
  type: "str"
  returned: "when known"
expires_first:
  description:
    - "The one of them that ends first."
  type: "dict"
  returned: "when known"
  contains:
    days_left:
      description:
        - "Whole days left; negative when it has ended."
      type: "int"
      returned: "always"
    lifetime_days:
      description:
        - "Whole days from its beginning to its end."
      type: "int"
      returned: "always"
    not_after:
      description:
        - "When it ends, RFC 3339."
      type: "str"
      returned: "always"
    path:
      description:
        - "The file it lies in."
      type: "str"
      returned: "always"
    renews_itself:
      description:
        - "Whether the kubelet renews it by itself."
      type: "bool"
      returned: "always"
    subject:
      description:
        - "The common name of its subject."
      type: "str"
      returned: "always"
files:
  description:
    - "Files and directories of the host that they need and that kubeadm does not make: a host that joins must have them before. In a judgement: of all hosts."
  type: "list"
  elements: "dict"
  returned: "when known"
  contains:
    fingerprint:
      description:
        - "SHA-256 of O(fingerprint_key) and the SHA-256 of the content, where a key was given: equal for equal files, and worth nothing without the key."
      type: "str"
      returned: "when known"
    kind:
      description:
        - "V(file), V(directory), V(other), or V(absent)."
      type: "str"
      returned: "always"
    needed_by:
      description:
        - "What needs it, as in C(kube-apiserver --audit-policy-file)."
      type: "str"
      returned: "always"
    path:
      description:
        - "Where."
      type: "str"
      returned: "always"
    secret:
      description:
        - "Whether its content may be a secret."
      type: "bool"
      returned: "always"
    sha256:
      description:
        - "SHA-256 of the content of a file that is no secret."
      type: "str"
      returned: "when known"
healthy:
  description:
    - "In a judgement: the hosts that answered and whose components are all ready."
  type: "list"
  elements: "str"
  returned: "when known"
manifests:
  description:
    - "The static pods of the control plane, as their manifests have them."
  type: "dict"
  returned: "when known"
  contains:
    apiserver:
      description:
        - "kube-apiserver."
      type: "dict"
      returned: "when known"
      contains:
        host_paths:
          description:
            - "What of the host is mounted."
          type: "list"
          elements: "dict"
          returned: "when known"
          contains:
            default:
              description:
                - "Whether kubeadm mounts it by default."
              type: "bool"
              returned: "always"
            kind:
              description:
                - "Its type, as in C(DirectoryOrCreate); empty where none is given."
              type: "str"
              returned: "always"
            path:
              description:
                - "On the host."
              type: "str"
              returned: "always"
        image:
          description:
            - "Its image."
          type: "str"
          returned: "always"
        version:
          description:
            - "The image's tag, without what follows a hyphen."
          type: "str"
          returned: "when known"
    controller_manager:
      description:
        - "kube-controller-manager."
      type: "dict"
      returned: "when known"
      contains:
        host_paths:
          description:
            - "What of the host is mounted."
          type: "list"
          elements: "dict"
          returned: "when known"
          contains:
            default:
              description:
                - "Whether kubeadm mounts it by default."
              type: "bool"
              returned: "always"
            kind:
              description:
                - "Its type, as in C(DirectoryOrCreate); empty where none is given."
              type: "str"
              returned: "always"
            path:
              description:
                - "On the host."
              type: "str"
              returned: "always"
        image:
          description:
            - "Its image."
          type: "str"
          returned: "always"
        version:
          description:
            - "The image's tag, without what follows a hyphen."
          type: "str"
          returned: "when known"
    etcd:
      description:
        - "etcd."
      type: "dict"
      returned: "when known"
      contains:
        host_paths:
          description:
            - "What of the host is mounted."
          type: "list"
          elements: "dict"
          returned: "when known"
          contains:
            default:
              description:
                - "Whether kubeadm mounts it by default."
              type: "bool"
              returned: "always"
            kind:
              description:
                - "Its type, as in C(DirectoryOrCreate); empty where none is given."
              type: "str"
              returned: "always"
            path:
              description:
                - "On the host."
              type: "str"
              returned: "always"
        image:
          description:
            - "Its image."
          type: "str"
          returned: "always"
        version:
          description:
            - "The image's tag, without what follows a hyphen."
          type: "str"
          returned: "when known"
    scheduler:
      description:
        - "kube-scheduler."
      type: "dict"
      returned: "when known"
      contains:
        host_paths:
          description:
            - "What of the host is mounted."
          type: "list"
          elements: "dict"
          returned: "when known"
          contains:
            default:
              description:
                - "Whether kubeadm mounts it by default."
              type: "bool"
              returned: "always"
            kind:
              description:
                - "Its type, as in C(DirectoryOrCreate); empty where none is given."
              type: "str"
              returned: "always"
            path:
              description:
                - "On the host."
              type: "str"
              returned: "always"
        image:
          description:
            - "Its image."
          type: "str"
          returned: "always"
        version:
          description:
            - "The image's tag, without what follows a hyphen."
          type: "str"
          returned: "when known"
name:
  description:
    - "What the report calls its host."
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
versions:
  description:
    - "Versions of the programs."
  type: "dict"
  returned: "when known"
  contains:
    containerd:
      description:
        - "containerd."
      type: "str"
      returned: "when known"
    k3s:
      description:
        - "k3s."
      type: "str"
      returned: "when known"
    kubeadm:
      description:
        - "kubeadm."
      type: "str"
      returned: "when known"
    kubelet:
      description:
        - "The kubelet."
      type: "str"
      returned: "when known"
'''
