# Copyright: Quorate contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's configuration: what "antsibull-docs sphinx-init" writes, and Ansible's labels without asking its server for them."""

import os
import tempfile
import zlib

project = 'Quorate'
copyright = 'Quorate contributors'
title = html_title = html_short_title = 'quorate.controlplane'
extensions = ['sphinx.ext.intersphinx', 'sphinx_antsibull_ext']
pygments_style = 'ansible'
highlight_language = 'YAML+Jinja'
html_theme = 'sphinx_ansible_theme'
html_show_sphinx = False
html_use_smartypants = True
html_use_modindex = False
html_use_index = False
html_copy_source = False
default_role = 'any'
nitpicky = True

# Each label of Ansible's documentation that ours links to, with its page.
ANSIBLE = 'https://docs.ansible.com/ansible/latest'
LABELS = {
    'common_return_values': 'reference_appendices/common_return_values.html#common-return-values',
    'ansible_configuration_settings': 'reference_appendices/config.html#ansible-configuration-settings',
    'ansible_collections.community.general.haproxy_module':
        'collections/community/general/haproxy_module.html#ansible-collections-community-general-haproxy-module',
}
KEPT = tempfile.TemporaryDirectory()
INVENTORY = os.path.join(KEPT.name, 'ansible.inv')
with open(INVENTORY, 'wb') as inventory:
    inventory.write(b'# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n# The remainder of this file is compressed using zlib.\n')
    inventory.write(zlib.compress(''.join(f'{label} std:label -1 {page} {label}\n' for label, page in LABELS.items()).encode()))
intersphinx_mapping = {'ansible': (ANSIBLE, INVENTORY)}
