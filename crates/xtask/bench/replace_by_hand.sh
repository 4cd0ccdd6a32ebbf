#!/bin/bash
# The replacement of cp2 as a runbook has it: the same steps as the playbook's, one after the other, without any check between them.
# It runs inside the lab's network namespace. It is here to be timed, not to be used.
set -euo pipefail

run=${1:?the run-time directory of the lab} token=${2:?user!id=secret of the Proxmox VE API} image=${3:?the image to import}
dir=$(mktemp -d)
trap 'ssh -q -o ControlPath="$dir/%h" -O exit cp1 2>/dev/null || true; rm -rf "$dir"' EXIT
on() { ssh -q -F "$run/ssh_config" -o ControlMaster=auto -o ControlPath="$dir/%h" -o ControlPersist=60 "$@"; }
kubectl() { on cp1 kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }
pki=/etc/kubernetes/pki/etcd
etcdctl() { on cp1 etcdctl --endpoints https://127.0.0.1:2379 --cacert $pki/ca.crt --cert $pki/healthcheck-client.crt --key $pki/healthcheck-client.key "$@"; }
haproxy() { on lb "perl -MIO::Socket::UNIX -e '\$s = IO::Socket::UNIX->new(q(/run/haproxy/admin.sock)); print \$s q($1), qq(\\n); print <\$s>'"; }
vm=https://198.18.0.5:8006/api2/json/nodes/pve1/qemu/102
pve() { curl --silent --show-error --fail --cacert "$run/pve/ca.pem" --header "Authorization: PVEAPIToken=$token" "$@"; }
# Starts a task and waits for its end.
task() {
    local upid
    upid=$(pve "$@" | sed 's/.*"data": *"\([^"]*\)".*/\1/')
    until pve "https://198.18.0.5:8006/api2/json/nodes/pve1/tasks/$upid/status" | grep -q '"status": *"stopped"'; do sleep 0.2; done
}
step() { printf '%s %s\n' "$(date +%s.%N)" "$*"; }

step snapshot
etcdctl snapshot save /var/tmp/by-hand.db
on cp1 cat /var/tmp/by-hand.db > "$dir/snapshot.db"
on cp1 rm -f /var/tmp/by-hand.db
step drain
haproxy 'set server kube-apiserver/cp2 state drain'
kubectl drain cp2 --ignore-daemonsets --delete-emptydir-data --force --timeout=60s
step leave
id=$(etcdctl member list | awk -F', ' '$3 == "cp2" {print $1}')
other=$(etcdctl member list | awk -F', ' '$3 == "cp3" {print $1}')
# Only the leader can hand over: whoever it is does.
for node in cp1 cp2 cp3; do
    on $node etcdctl --endpoints https://127.0.0.1:2379 --cacert $pki/ca.crt --cert $pki/healthcheck-client.crt --key $pki/healthcheck-client.key move-leader "$other" 2>/dev/null || true
done
haproxy 'set server kube-apiserver/cp2 state maint'
haproxy 'shutdown sessions server kube-apiserver/cp2'
task --request POST "$vm/status/stop"
etcdctl member remove "$id"
kubectl delete node cp2
step disk
old=$(pve "$vm/config" | sed 's/.*"scsi0": *"\([^,"]*\).*/\1/')
size=$(pve "$vm/config" | sed 's/.*"scsi0": *"[^"]*size=\([0-9]*G\).*/\1/')
task --request POST "$vm/config" --data-urlencode "scsi0=${old%%:*}:0,import-from=$image"
task --request PUT "$vm/resize" --data disk=scsi0 --data "size=$size"
task --request POST "$vm/status/start"
step boot
until on -o ConnectTimeout=1 cp2 true 2>/dev/null; do sleep 0.3; done
step join
key=$(on cp1 kubeadm init phase upload-certs --upload-certs --kubeconfig /etc/kubernetes/admin.conf | tail -n 1)
join=$(on cp1 kubeadm token create --print-join-command --ttl 10m --kubeconfig /etc/kubernetes/admin.conf)
on cp2 "$join --control-plane --certificate-key $key --apiserver-advertise-address 198.18.0.12 --ignore-preflight-errors SystemVerification"
step ready
kubectl wait --for=condition=Ready node/cp2 --timeout=120s
kubectl uncordon cp2
until [ "$(kubectl --server https://198.18.0.12:6443 get --raw /readyz 2> /dev/null)" = ok ]; do sleep 0.3; done
haproxy 'set server kube-apiserver/cp2 state ready'
pve --request PUT "$vm/config" --data delete=unused0 > /dev/null
step end
