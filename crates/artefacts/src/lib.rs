//! For development: builds the pinned programs that tests and the lab run, and keeps them in a cache.
