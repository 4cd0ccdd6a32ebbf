//! Reads an etcd cluster: members, evidence, leader, alarms, and what the gate would say.
