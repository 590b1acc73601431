//! Netlink, sysctls and the guard table against the running kernel, each test in network namespaces of its own.

mod apply;
mod guard;
mod namespace;
mod observe;
mod sysctl;
