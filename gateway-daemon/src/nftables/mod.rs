//! The kernel netfilter, used beside the datapath.
