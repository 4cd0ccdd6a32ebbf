//! The HAProxy runtime socket: values, and calls.
