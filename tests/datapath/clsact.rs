//! Kernels before 6.6 have no tcx: the same program as a filter on a clsact qdisc.

use gateway_daemon::datapath::{TcHook, inspect};
use gateway_tests::lab::{Lab, SERVER};
use gateway_tests::skip::may_use_namespaces;

use crate::lent::{kill_datapath, with_datapath};

fn qdiscs(lab: &Lab) -> String {
    lab.gateway.run("tc", &["qdisc", "show"]).unwrap()
}

#[test]
fn without_tcx_a_clsact_filter_forwards_and_leaves_no_qdisc_behind() {
    if !may_use_namespaces("clsact::without_tcx_a_clsact_filter_forwards_and_leaves_no_qdisc_behind") {
        return;
    }
    let lab = Lab::unique("clsact").unwrap();
    let before = qdiscs(&lab);
    with_datapath(&lab, TcHook::Clsact, |datapath| {
        let filters = lab.gateway.run("tc", &["filter", "show", "dev", "eth0", "ingress"])?;
        assert!(filters.contains("gateway_tc"), "{filters}");
        let ping = lab.vm1.run("ping", &["-c", "3", "-i", "0.2", "-W", "2", SERVER])?;
        assert!(ping.contains(" 0% packet loss"), "{ping}");
        datapath.detach();
        Ok(())
    })
    .unwrap();
    assert_eq!(qdiscs(&lab), before);
}

#[test]
fn a_clsact_qdisc_that_somebody_else_uses_stays() {
    if !may_use_namespaces("clsact::a_clsact_qdisc_that_somebody_else_uses_stays") {
        return;
    }
    let lab = Lab::unique("clsact").unwrap();
    lab.gateway.run("tc", &["qdisc", "add", "dev", "eth0", "clsact"]).unwrap();
    let before = qdiscs(&lab);
    with_datapath(&lab, TcHook::Clsact, |datapath| {
        datapath.detach();
        Ok(())
    })
    .unwrap();
    assert_eq!(qdiscs(&lab), before);
}

#[test]
fn what_a_killed_gateway_left_in_clsact_gives_way_to_the_next_one() {
    if !may_use_namespaces("clsact::what_a_killed_gateway_left_in_clsact_gives_way_to_the_next_one") {
        return;
    }
    let lab = Lab::unique("clsact").unwrap();
    let before = qdiscs(&lab);
    kill_datapath(&lab, TcHook::Clsact).unwrap();
    with_datapath(&lab, TcHook::Clsact, |datapath| {
        let filters = lab.gateway.run("tc", &["filter", "show", "dev", "eth0", "ingress"])?;
        let ours = filters.lines().filter(|line| line.contains("handle") && line.contains("gateway_tc")).count();
        assert_eq!(ours, 1, "the old filter would still forward, by the old policy:\n{filters}");
        let ping = lab.vm1.run("ping", &["-c", "3", "-i", "0.2", "-W", "2", SERVER])?;
        assert!(ping.contains(" 0% packet loss"), "{ping}");
        assert_eq!(inspect::flows(datapath.maps()).len(), 1, "the new datapath forwards");
        datapath.detach();
        Ok(())
    })
    .unwrap();
    assert_eq!(qdiscs(&lab), before, "a qdisc that held only our filter goes with us");
}
