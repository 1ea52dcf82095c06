//! How evenly open connections are spread over servers of unequal weight.
//!
//! All ways carry the same traffic at the same time, each on a port of its own: connections come at random, so many a
//! second in the mean, and stay for a short or a long time. The servers count.

use crate::Outcome;
use crate::processor;
use crate::proxy::{self, Proxy};
use lab::figures::{Samples, print_table};
use lab::{Host, Lab};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Builder;
use tokio::time::sleep_until;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 35);
/// The director's own address: the proxy's.
const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 33);

/// Weights of the servers, in their order.
const WEIGHTS: [u16; 4] = [1, 1, 2, 4];

/// New connections a second by each way, in the mean.
const RATE: f64 = 220.0;
/// How long connections stay: one of these, as often as the other.
const LIVES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// Until as many end as begin.
const WARM: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(100);
const SAMPLES: usize = 450;

/// A way from the clients to the servers.
struct Way {
    name: &'static str,
    port: u16,
    /// By the director, under this scheduler; `None`: by HAProxy.
    scheduler: Option<&'static str>,
}

const WAYS: [Way; 3] = [
    Way { name: "director, wlc", port: 2501, scheduler: Some("wlc") },
    Way { name: "HAProxy, leastconn", port: 2502, scheduler: None },
    Way { name: "director, wrr", port: 2503, scheduler: Some("wrr") },
];

/// Lets all ways carry their traffic, and prints how far open connections were from the weights.
pub(crate) fn measure(lab: &Lab) -> Outcome {
    let host = &lab.directors()[0];
    let stop = Arc::new(AtomicBool::new(false));
    let servers =
        lab.servers().iter().map(|server| Server::start(server, &stop)).collect::<Outcome<Vec<_>>>()?;
    let mut director = lab.start_director(host.name(), &configuration(lab))?;
    let proxy = proxy(host)?;
    let clients = WAYS.iter().zip(1..).map(|(way, seed)| clients(lab, way, seed, &stop));
    let clients = clients.collect::<Outcome<Vec<_>>>()?;

    sleep(WARM);
    let mut deviations = WAYS.map(|_| Samples::default());
    let mut open = WAYS.map(|_| Samples::default());
    let times = || -> Outcome<[f64; 2]> {
        let [director, proxy] = [director.pid(), proxy.as_ref().map(Proxy::pid)].map(|process| {
            process.map_or(Ok(Duration::ZERO), processor::of_process).map(|time| time.as_secs_f64())
        });
        Ok([director?, proxy?])
    };
    let (begin, before) = (Instant::now(), times()?);
    for _ in 0..SAMPLES {
        for (way, (deviations, open)) in deviations.iter_mut().zip(&mut open).enumerate() {
            let counts: Vec<f64> = servers.iter().map(|it| it.open[way].load(Relaxed) as f64).collect();
            deviations.add(deviation(&counts));
            open.add(counts.iter().sum());
        }
        sleep(STEP);
    }
    let passed = begin.elapsed().as_secs_f64();
    let after = times()?;
    stop.store(true, Relaxed);
    let mut failed = 0;
    for client in clients {
        failed += client.join().map_err(|_| "a client panicked")??;
    }
    director.stop()?;
    director.flush()?;

    println!(
        "\nOpen connections beside weights {WEIGHTS:?}: {RATE} a second by each way, for {} or {} s; {SAMPLES} samples",
        LIVES[0].as_secs_f64(),
        LIVES[1].as_secs_f64()
    );
    let percent = |part: f64| format!("{:.1}%", 100.0 * part);
    let rows = WAYS.iter().zip(&deviations).zip(&open).map(|((way, deviations), open)| {
        let [mean, most] = [deviations.mean(), deviations.largest()].map(percent);
        let cpu = match way.scheduler {
            Some("wlc") => percent((after[0] - before[0]) / passed),
            None => percent((after[1] - before[1]) / passed),
            Some(_) => String::new(),
        };
        vec![way.name.to_owned(), format!("{:.0}", open.median()), mean, most, cpu]
    });
    print_table(&["", "open", "imbalance, mean", "largest", "CPU of the process"], &rows.collect::<Vec<_>>());
    if proxy.is_none() {
        println!("{}", proxy::MISSING);
    }
    if failed > 0 {
        println!("  {failed} connections failed: read these figures with suspicion");
    }
    Ok(())
}

/// The largest distance of a server's connections from its weight's part of all, as a part of that.
fn deviation(counts: &[f64]) -> f64 {
    let part = counts.iter().sum::<f64>() / WEIGHTS.iter().copied().map(f64::from).sum::<f64>();
    let far = counts.iter().zip(WEIGHTS).map(|(count, weight)| {
        let ideal = part * f64::from(weight);
        if ideal > 0.0 { (count - ideal).abs() / ideal } else { 0.0 }
    });
    far.fold(0.0, f64::max)
}

fn configuration(lab: &Lab) -> String {
    let servers = lab.servers().iter().zip(WEIGHTS);
    let servers: Vec<String> =
        servers.map(|(server, weight)| format!("{}: {{ weight: {weight} }}", server.name())).collect();
    let mut services = String::from("services:\n");
    for way in &WAYS {
        if let Some(scheduler) = way.scheduler {
            services += &format!(
                "  {scheduler}:\n    vip: {VIP}\n    ports: {{ tcp: {} }}\n    scheduler: {scheduler}\n    servers: {{ {} }}\n",
                way.port,
                servers.join(", ")
            );
        }
    }
    lab.configuration(&services)
}

/// A server's open connections, by way.
struct Server {
    open: Arc<[AtomicU64; WAYS.len()]>,
}

impl Server {
    fn start(host: &Host, stop: &Arc<AtomicBool>) -> Outcome<Self> {
        let open: Arc<[AtomicU64; WAYS.len()]> = Arc::default();
        let (counts, stop) = (Arc::clone(&open), Arc::clone(stop));
        host.enter(|| {
            std::thread::spawn(move || {
                Builder::new_current_thread().enable_all().build()?.block_on(async {
                    for (way, number) in WAYS.iter().zip(0..) {
                        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, way.port)).await?;
                        tokio::spawn(accept(listener, Arc::clone(&counts), number));
                    }
                    while !stop.load(Relaxed) {
                        tokio::time::sleep(STEP).await;
                    }
                    std::io::Result::Ok(())
                })
            })
        })?;
        Ok(Self { open })
    }
}

async fn accept(listener: TcpListener, open: Arc<[AtomicU64; WAYS.len()]>, way: usize) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        let open = Arc::clone(&open);
        tokio::spawn(async move {
            open[way].fetch_add(1, Relaxed);
            // Nothing comes but the end, however it comes.
            let _ = stream.read(&mut [0]).await;
            open[way].fetch_sub(1, Relaxed);
        });
    }
}

/// Clients of a way, until they are told to stop: how many connections failed.
fn clients(
    lab: &Lab,
    way: &Way,
    seed: u64,
    stop: &Arc<AtomicBool>,
) -> Outcome<JoinHandle<std::io::Result<u64>>> {
    let target = SocketAddr::from((if way.scheduler.is_some() { VIP } else { OWN }, way.port));
    let stop = Arc::clone(stop);
    Ok(lab.client().host().enter(|| {
        std::thread::spawn(move || {
            Builder::new_current_thread().enable_all().build()?.block_on(async {
                let failed = Arc::new(AtomicU64::new(0));
                let (mut random, mut next) = (Random(seed), tokio::time::Instant::now());
                for host in (101..=116).cycle() {
                    if stop.load(Relaxed) {
                        break;
                    }
                    next += Duration::from_secs_f64(-random.part().ln() / RATE);
                    sleep_until(next).await;
                    let life = LIVES[usize::from(random.part() < 0.5)];
                    let failed = Arc::clone(&failed);
                    tokio::spawn(async move {
                        if visit([192, 168, 1, host].into(), target, life).await.is_err() {
                            failed.fetch_add(1, Relaxed);
                        }
                    });
                }
                Ok(failed.load(Relaxed))
            })
        })
    })?)
}

async fn visit(source: Ipv4Addr, target: SocketAddr, life: Duration) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((source, 0).into())?;
    let _stream = socket.connect(target).await?;
    tokio::time::sleep(life).await;
    Ok(())
}

/// Knuth's MMIX generator: every run has the same traffic.
struct Random(u64);

impl Random {
    /// Above 0, at most 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) + 1) as f64 / (1 << 24) as f64
    }
}

/// HAProxy's way. `None` if it is not installed.
fn proxy(host: &Host) -> Outcome<Option<Proxy>> {
    let mut text = String::from(
        "global\n  maxconn 5000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n",
    );
    let Some(way) = WAYS.iter().find(|way| way.scheduler.is_none()) else { return Ok(None) };
    text += &format!("listen way\n  bind {OWN}:{}\n  balance leastconn\n", way.port);
    for (weight, number) in WEIGHTS.iter().zip(1..) {
        text += &format!("  server server{number} 10.0.1.{number}:{} weight {weight}\n", way.port);
    }
    Proxy::start(host, &text, (OWN, way.port).into())
}
