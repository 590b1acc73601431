//! The appliance: the built image boots as a virtual machine and does its work. `cargo xtask image` builds what this needs, and `cargo xtask
//! image --test` runs the same story with a table.

use std::sync::Arc;

use gateway_tests::appliance::{Firmware, Image, story};
use gateway_tests::skip;

#[test]
fn the_image_boots_and_forwards() {
    const TEST: &str = "image::the_image_boots_and_forwards";
    if !skip::may_use_namespaces(TEST) {
        return;
    }
    let Some(image) = Image::of_environment() else {
        skip::skip(TEST, "no image: GATEWAY_IMAGE and GATEWAY_IMAGE_WORKSHOP are not set; `cargo xtask image --test` builds and boots one");
        return;
    };
    let story = story::tell(&image, Firmware::Bios, &Arc::default(), |_| ()).unwrap();
    println!("{story}");
}
