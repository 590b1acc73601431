//! The containerDisk: an OCI archive from nothing but the disk, as KubeVirt wants it: `/disk/<name>`, owned and readable by user 107 (qemu).

use anyhow::Result;

use super::recipe::Recipe;
use super::workshop::Workshop;

/// The user and group under which KubeVirt's qemu runs.
const QEMU: &str = "107";

/// Packs `disk` into the OCI archive `archive`, both in the working directory.
///
/// # Errors
/// When a tool fails.
pub fn make(workshop: &Workshop, recipe: &Recipe, disk: &str, archive: &str) -> Result<()> {
    let epoch = recipe.epoch();
    let (version, tar) = (env!("CARGO_PKG_VERSION"), "tar --sort=name --numeric-owner --format=gnu");
    workshop.pipe(&format!(
        "mkdir -p layer/disk; ln {disk} layer/disk/; chmod 0555 layer/disk; chmod 0440 layer/disk/{disk}\n\
         {tar} -C layer --owner={QEMU} --group={QEMU} --mtime=@{epoch} -cf layer.tar disk\n\
         chmod 0644 {disk}; rm -rf layer\n\
         at=$(date -u -d @{epoch} +%FT%TZ)\n\
         umoci init --layout oci\n\
         umoci new --image oci:{version}\n\
         umoci raw add-layer --image oci:{version} --history.created_by 'cargo xtask image' --history.created $at layer.tar\n\
         umoci config --image oci:{version} --history.created $at --created $at --architecture amd64 --os linux \
           --config.label org.opencontainers.image.title=gateway --config.label org.opencontainers.image.version={version} \
           --config.label 'org.opencontainers.image.licenses=MIT OR Apache-2.0'\n\
         umoci gc --layout oci\n\
         {tar} -C oci --owner=0 --group=0 --mtime=@{epoch} -cf {archive} oci-layout index.json blobs\n\
         rm -rf oci layer.tar\n\
         skopeo inspect oci-archive:{archive}"
    ))
}
