#!/usr/bin/python
# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Written by "cargo xtask docs" from the options of the program; the module itself is compiled.

from __future__ import annotations

DOCUMENTATION = r'''
---
module: "pve_disk_reimage"
short_description: "Replaces a disk of a stopped Proxmox VE machine by a fresh copy of an image, and keeps the old one until that is committed"
version_added: "0.1.0"
description:
  - "Replaces a disk of a stopped Proxmox VE machine by a fresh copy of an image, and keeps the old one until that is committed."
  - "The old volume is detached and kept as an unused disk. The new one takes its place with all its options, the boot order stays as it is, and the new disk is extended to the size of the old one."
  - "The machine is named three times over, by id, name and UUID (or the digest of its configuration), and the disk by its volume. When one of them does not fit, nothing is done."
  - "What was replaced is noted in the machine's description, in the very request that replaces it. A run that was interrupted anywhere is simply run again."
  - "To go back before V(committed): stop the machine, C(qm set 102 --scsi0 <old volume>,<options>), start it."
author:
  - "Quorate contributors (@quorate)"
options:
  api_host:
    description:
      - "Name or address of a node of the cluster."
      - "Without it the environment variable E(PROXMOX_HOST) is used."
    type: "str"
  api_port:
    description:
      - "Port of the API."
      - "Without it the environment variable E(PROXMOX_PORT) is used, and then V(8006)."
    type: "int"
  api_token_id:
    description:
      - "Name of the API token. It needs VM.Audit, VM.Config.Disk and VM.Config.Options on the machine, and Datastore.AllocateSpace and Datastore.Audit on the storages of the disk and of the image."
      - "Without it the environment variable E(PROXMOX_TOKEN_ID) is used."
    type: "str"
  api_token_secret:
    description:
      - "Secret of the API token."
      - "Without it the environment variable E(PROXMOX_TOKEN_SECRET) is used."
    type: "str"
  api_user:
    description:
      - "User the token belongs to."
      - "Without it the environment variable E(PROXMOX_USER) is used, and then V(root@pam)."
    type: "str"
  ca_path:
    description:
      - "Certificate authority of the API, in PEM form: C(/etc/pve/pve-root-ca.pem) of any node. The system's authorities when it is not given."
      - "Not looked at with O(validate_certs=false)."
    type: "path"
  condemned:
    description:
      - "Volume that is to be replaced, as M(quorate.controlplane.pve_guest) returns it in RV(quorate.controlplane.pve_guest#module:disks)."
      - "It tells the old disk from the new one: a machine whose O(disk) is another volume by now, and whose description says that it replaced this one, is not touched again."
    type: "str"
    required: true
  digest:
    description:
      - "Digest of the machine's configuration when it was looked at last, for machines without a UUID. Compared only until the disk has been replaced."
    type: "str"
  disk:
    description:
      - "The disk."
    type: "str"
    default: "scsi0"
  image:
    description:
      - "Image to copy, a volume of the content type C(import) such as C(local:import/control-plane.qcow2)."
    type: "str"
  lock_timeout:
    description:
      - "How long locks of the machine are waited for."
    type: "str"
    default: "10m"
  lock_until:
    description:
      - "Until when the run may count on the control plane's lock, as RV(quorate.controlplane.control_plane_lock#module:holds_until)."
      - "When it is given, each change is only made before that time, by the clock of the host the task runs on."
    type: "str"
  name:
    description:
      - "Name of the machine."
    type: "str"
    required: true
  node:
    description:
      - "Node the machine is on. It is found when it is not given, and must agree when it is."
    type: "str"
  smbios_uuid:
    description:
      - "UUID of the machine, as M(quorate.controlplane.pve_guest) returns it."
    type: "str"
  state:
    description:
      - "What the disk shall be."
      - "V(reimaged): O(disk) is a fresh copy of O(image). The volume O(condemned) is kept as an unused disk."
      - "V(committed): O(disk) has replaced O(condemned), and that is removed for good. There is no way back from here."
    type: "str"
    default: "reimaged"
    choices:
      - "reimaged"
      - "committed"
  storage:
    description:
      - "Storage of the new volume. That of the old one when it is not given."
    type: "str"
  timeout:
    description:
      - "How long the copy may take."
    type: "str"
    default: "15m"
  validate_certs:
    description:
      - "Whether the API's certificate is verified."
      - "Without it the environment variable E(PROXMOX_VALIDATE_CERTS) is used, and then V(true)."
    type: "bool"
  vmid:
    description:
      - "Id of the machine."
    type: "int"
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
- name: Look the machine up
  quorate.controlplane.pve_guest:
    api_host: pve1.example.org
    api_user: quorate@pve
    api_token_id: playbook
    api_token_secret: "{{ pve_token_secret }}"
    vmid: 102
    name: cp2
  register: machine
  delegate_to: localhost

- name: Give the stopped machine a fresh disk, and keep the old one
  quorate.controlplane.pve_disk_reimage:
    vmid: 102
    name: cp2
    smbios_uuid: "{{ machine.smbios_uuid }}"
    disk: scsi0
    condemned: "{{ machine.disks.scsi0 }}"
    image: local:import/control-plane.qcow2
    state: reimaged
  delegate_to: localhost

- name: Remove the old disk once the new node has proven itself
  quorate.controlplane.pve_disk_reimage:
    vmid: 102
    name: cp2
    smbios_uuid: "{{ machine.smbios_uuid }}"
    disk: scsi0
    condemned: "{{ machine.disks.scsi0 }}"
    state: committed
  delegate_to: localhost
'''

RETURN = r'''
---
before:
  description:
    - "The returned values as they were before."
  type: "dict"
  returned: "success"
boot:
  description:
    - "Boot order of the machine."
  type: "str"
  returned: "when known"
condemned:
  description:
    - "The volume that was to be replaced."
  type: "str"
  returned: "always"
condemned_is:
  description:
    - "What has become of it."
    - "V(in_use): It is the machine's disk."
    - "V(unused): It is kept as an unused disk."
    - "V(removed): The machine has it no more."
  type: "str"
  returned: "always"
  choices:
    - "in_use"
    - "unused"
    - "removed"
disk:
  description:
    - "Key of the disk."
  type: "str"
  returned: "always"
image:
  description:
    - "What it was copied from, where it has been replaced."
  type: "str"
  returned: "when known"
name:
  description:
    - "Name of the machine."
  type: "str"
  returned: "when known"
node:
  description:
    - "The node it is on."
  type: "str"
  returned: "when known"
options:
  description:
    - "Options of the disk, but for its size."
  type: "str"
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
replaced:
  description:
    - "Whether the disk has replaced the condemned volume."
  type: "bool"
  returned: "always"
size:
  description:
    - "Size of the disk."
  type: "str"
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
vmid:
  description:
    - "Id of the machine."
  type: "int"
  returned: "when known"
'''
