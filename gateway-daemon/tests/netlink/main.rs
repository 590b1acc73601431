//! Netlink, connection tracking, sysctls and the guard table against the running kernel, each test in network namespaces of its own.

mod apply;
mod conntrack;
mod guard;
mod namespace;
mod observe;
mod sysctl;
