//! The programs that answer in the lab.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use gateway_tests::lab::{Lab, SERVER, VM1};
use gateway_tests::wait::wait_until;
use gateway_tests::{Process, tcp_listening, udp_bound};

/// Longer than any demo, and the end of a forgotten one.
const LIFETIME: Duration = Duration::from_secs(300);

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// A name that only the demo's DNS server knows.
pub const NAME: &str = "app.pods.test";

/// The started servers; they end with the lab.
pub struct Servers {
    /// Stands for the remote desktop on vm1, and writes a line per connection into its log.
    pub desktop: Process,
}

impl Servers {
    /// Starts them and waits until they listen: HTTP (80), DNS (53) and iperf3 (5201) on the pod side; 3389 on vm1.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn start(lab: &Lab, files: &Path) -> Result<Self> {
        let files = files.to_str().context("the temporary directory's path is no text")?;
        let config = format!("{files}/nginx.conf");
        std::fs::write(&config, nginx_config(files))?;
        let listen = format!("--listen-address={SERVER}");
        let address = format!("--address=/{NAME}/{SERVER}");
        let pods = [
            lab.pods.spawn(LIFETIME, "nginx", &["-e", "stderr", "-p", files, "-c", &config])?,
            lab.pods.spawn(
                LIFETIME,
                "dnsmasq",
                &[
                    "--keep-in-foreground",
                    "--conf-file=/dev/null",
                    "--pid-file=",
                    "--user=root",
                    "--no-resolv",
                    "--no-hosts",
                    "--bind-interfaces",
                    &listen,
                    &address,
                ],
            )?,
            lab.pods.spawn(LIFETIME, "iperf3", &["--server", "--bind", SERVER])?,
        ];
        let desktop = format!("TCP-LISTEN:3389,fork,reuseaddr,bind={VM1}");
        // Both ends of the connection, as the server sees them.
        let desktop = lab.vm1.spawn(LIFETIME, "socat", &["-d", "-d", &desktop, "SYSTEM:echo $SOCAT_PEERADDR"])?;
        wait_until(START, "the servers to listen", || {
            for process in pods.iter().chain([&desktop]) {
                anyhow::ensure!(process.ended()?.is_none(), "{} ended at once: {}", process.name(), process.output());
            }
            Ok(tcp_listening(&lab.pods, 80)?
                && udp_bound(&lab.pods, 53)?
                && tcp_listening(&lab.pods, 5201)?
                && tcp_listening(&lab.vm1, 3389)?)
        })?;
        Ok(Self { desktop })
    }
}

/// A web server that tells every client which address it saw.
fn nginx_config(files: &str) -> String {
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {files}/nginx.pid;\nevents {{}}\n\
         http {{\n  access_log off;\n  client_body_temp_path {files};\n  proxy_temp_path {files};\n  fastcgi_temp_path {files};\n  \
         uwsgi_temp_path {files};\n  scgi_temp_path {files};\n  \
         server {{ listen 80; listen [::]:80; location / {{ return 200 \"$remote_addr\"; }} }}\n}}\n"
    )
}
