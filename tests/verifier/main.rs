//! The kernel's verifier accepts every program, within a budget.

use gateway_daemon::datapath::{Capacity, Loaded, TC};

#[test]
fn every_program_loads() {
    let mut loaded = Loaded::new(Capacity { flows: 1024 }, 0).unwrap_or_else(|error| panic!("{error:?}"));
    for name in TC {
        let info = loaded.classifier(name).unwrap().info().unwrap();
        println!("{name}: verified {:?}, xlated {:?}", info.verified_instruction_count(), info.size_translated());
    }
    let info = loaded.xdp().unwrap().info().unwrap();
    println!("xdp: verified {:?} xlated {:?}", info.verified_instruction_count(), info.size_translated());
}
