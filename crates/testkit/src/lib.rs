//! For tests: cases, laws, real servers on free ports, and the runner of built modules.
