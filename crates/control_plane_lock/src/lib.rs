//! Holds the lock and the record of a control-plane operation.
