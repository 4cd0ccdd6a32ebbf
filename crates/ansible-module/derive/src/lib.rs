//! The derive behind the option table of `ansible-module`.
