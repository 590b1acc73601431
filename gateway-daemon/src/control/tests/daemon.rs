//! A server that answers from the samples.

use std::path::PathBuf;
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::sample;
use crate::control::{Client, ControlRequest, ControlServer, Refusal, RefusalKind, Request, Response};
use crate::instance::InstanceName;

/// A server in a thread of its own, before a loop that answers from the samples.
pub struct Daemon {
    /// Where it listens.
    pub socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

impl Daemon {
    /// Answers with what `answer` says; with `None`, not at all.
    pub fn start(answer: impl Fn(Request) -> Option<Response> + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("run/control.sock");
        let (stop, stopped) = oneshot::channel();
        let (listening, ready) = std::sync::mpsc::channel();
        let path = socket.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = ControlServer::bind(&path).unwrap();
                listening.send(()).unwrap();
                let (sender, mut requests) = mpsc::channel::<ControlRequest>(4);
                let daemon = async {
                    while let Some(ControlRequest { request, reply }) = requests.recv().await {
                        if let Some(response) = answer(request) {
                            // The client may be gone.
                            let _ = reply.send(response);
                        }
                    }
                };
                tokio::select! {
                    () = server.serve(sender) => {}
                    () = daemon => {}
                    _ = stopped => {}
                }
            });
        });
        ready.recv().unwrap();
        Self { socket, stop: Some(stop), thread: Some(thread), _directory: directory }
    }

    /// Answers everything from the samples, and refuses to reload.
    pub fn samples() -> Self {
        Self::start(|request| {
            Some(match request {
                Request::Status => Response::Status(Box::new(sample::status())),
                Request::Flows { filter } => Response::Flows(filter.select(sample::flows())),
                Request::Mappings => Response::Mappings(sample::mappings()),
                Request::Drops => Response::Drops(sample::drops()),
                Request::Reload => Response::Refused(Refusal::new(RefusalKind::Policy, "policy.toml:3:1: unknown key")),
            })
        })
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::at(&InstanceName::default(), &self.socket)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}
