//! Cordons, drains, uncordons, awaits or deletes a Kubernetes node.
