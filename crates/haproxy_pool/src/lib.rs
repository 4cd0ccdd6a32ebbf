//! Takes a server out of HAProxy backends and puts it back.
