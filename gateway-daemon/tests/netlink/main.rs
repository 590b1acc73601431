//! Netlink, connection tracking, sysctls, the guard table and the nftables datapath against the running kernel, each test in network
//! namespaces of its own.

mod apply;
mod conntrack;
mod guard;
mod namespace;
mod nftables;
mod observe;
mod sysctl;
