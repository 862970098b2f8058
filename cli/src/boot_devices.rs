//! `ferry boot`: what `--device`, `--disk` and `--net` add to a machine.

use std::str::FromStr;

use anyhow::{Result, bail};
use system::devices::pci::PciFunction;
use system::devices::virtio::VirtioDevice;
use system::devices::virtio::blk::Blk;
use system::devices::virtio::console::Console;
use system::devices::virtio::net::Net;
use system::devices::virtio::pci::VirtioPci;
use system::devices::virtio::rng::{EntropySource, Rng};
use system::host::block::{self, BlockOptions, Execution, ImageAccess, ImageFormat};
use system::host::chars::{CharSpec, Escape};
use system::host::net::config::NetConfig;
use system::host::net::user::UserNet;

use crate::complain;

/// How a virtio device is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Transport {
    /// On the PCI bus.
    #[default]
    Pci,
    /// Behind one of the machine's virtio-mmio windows.
    Mmio,
}

impl Transport {
    /// Takes `transport=...` out of the words of an option.
    fn take(text: &str) -> Result<(Self, String), String> {
        let mut transport = Self::default();
        let mut rest = Vec::new();
        for word in text.split(',') {
            match word.strip_prefix("transport=") {
                None => rest.push(word),
                Some("pci") => transport = Self::Pci,
                Some("mmio") => transport = Self::Mmio,
                Some(_) => return Err(format!("'{word}': there is transport=pci or mmio")),
            }
        }
        Ok((transport, rest.join(",")))
    }
}

/// `--disk`: an image, and how it is attached.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    image: BlockOptions,
    transport: Transport,
}

impl FromStr for Disk {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, text) = Transport::take(text)?;
        let mut words = text.split(',');
        let path = words.next().filter(|path| !path.is_empty()).ok_or("no file is named")?;
        let mut image = BlockOptions {
            path: path.into(),
            format: None,
            access: ImageAccess::ReadWrite,
            execution: Execution::Threads,
        };
        for word in words {
            match word {
                "format=raw" => image.format = Some(ImageFormat::Raw),
                "format=qcow2" => image.format = Some(ImageFormat::Qcow2),
                "readonly" => image.access = ImageAccess::ReadOnly,
                _ => {
                    let known = "format=raw, format=qcow2, readonly, transport=mmio";
                    return Err(format!("'{word}': there are {known}"));
                }
            }
        }
        Ok(Self { image, transport })
    }
}

/// `--net`: a network, and how it is attached.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    config: NetConfig,
    transport: Transport,
}

impl Network {
    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self.config, NetConfig::None)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, text) = Transport::take(text)?;
        let config = text.parse().map_err(|error| format!("{error:#}"))?;
        Ok(Self { config, transport })
    }
}

/// `--device`: any other device.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    kind: Kind,
    transport: Transport,
}

#[derive(Clone, Debug)]
enum Kind {
    Rng,
    Console(CharSpec),
}

impl FromStr for Other {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (transport, text) = Transport::take(text)?;
        let kind = match text.split_once(',') {
            None if text == "virtio-rng" => Kind::Rng,
            Some(("virtio-console", option)) => {
                let spec = option.strip_prefix("console=");
                let spec = spec.ok_or_else(|| format!("'{option}': there is console=WHERE"))?;
                Kind::Console(spec.parse().map_err(|error| format!("{error}"))?)
            }
            None if text == "virtio-console" => {
                return Err("a console is somewhere: virtio-console,console=WHERE".to_owned());
            }
            _ => return Err(format!("'{text}': there are virtio-console and virtio-rng")),
        };
        Ok(Self { kind, transport })
    }
}

/// Where the serial line goes: as is said; else to standard input and output, unless another console is
/// there.
pub(crate) fn serial(chosen: Option<CharSpec>, others: &[Other]) -> Result<CharSpec> {
    let is_stdio = |other: &&Other| matches!(other.kind, Kind::Console(CharSpec::Stdio));
    match (chosen, others.iter().filter(is_stdio).count()) {
        (Some(CharSpec::Stdio), 1..) | (_, 2..) => {
            bail!("two consoles cannot be stdio: give one of them another place, such as null")
        }
        (Some(chosen), _) => Ok(chosen),
        (None, 0) => Ok(CharSpec::Stdio),
        (None, _) => Ok(CharSpec::Null),
    }
}

/// What is the same for all devices.
pub(crate) struct Backing {
    /// When requests to disks are done.
    pub(crate) execution: Execution,
    /// Where random bytes come from.
    pub(crate) rng: Box<dyn EntropySource>,
}

/// All that is attached by virtio, by its transport.
#[derive(Default)]
pub(crate) struct Attached {
    pub(crate) functions: Vec<Box<dyn PciFunction>>,
    pub(crate) mmio: Vec<Box<dyn VirtioDevice>>,
}

impl Attached {
    /// Opens what stands behind the devices. `escaped` is told of the user's keys for Ferry.
    pub(crate) fn open(
        disks: &[Disk],
        network: &Network,
        others: &[Other],
        Backing { execution, rng }: Backing,
        escaped: impl FnMut(Escape) + Clone + Send + 'static,
    ) -> Result<Self> {
        let mut all = Self::default();
        for (number, Disk { image, transport }) in disks.iter().enumerate() {
            let backend = block::open(&BlockOptions { execution, ..image.clone() })?;
            all.add(*transport, Box::new(Blk::new(backend, 1, &format!("disk{number}"))));
        }
        if let NetConfig::User(config) = &network.config {
            let backend = Box::new(UserNet::open(config)?);
            all.add(network.transport, Box::new(Net::new(backend, config.mac.0, config.mtu)));
        }
        // Every guest wants random bytes; the first device gives them, whoever asked for it.
        let place = others.iter().find(|other| matches!(other.kind, Kind::Rng));
        let place = place.map_or(Transport::Pci, |other| other.transport);
        all.add(place, Box::new(Rng::new(rng)));
        for Other { kind, transport } in others {
            match kind {
                Kind::Rng => {}
                Kind::Console(spec) => {
                    let opened = spec.open(escaped.clone())?;
                    if let Some(path) = &opened.path {
                        complain(&format!("a virtio-console is {}", path.display()));
                    }
                    all.add(*transport, Box::new(Console::new(opened.backend, opened.size)));
                }
            }
        }
        Ok(all)
    }

    fn add(&mut self, transport: Transport, device: Box<dyn VirtioDevice>) {
        match transport {
            Transport::Pci => self.functions.push(Box::new(VirtioPci::new(device))),
            Transport::Mmio => self.mmio.push(device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let disk: Disk = "a.img,transport=mmio,readonly".parse().unwrap();
        assert_eq!(disk.transport, Transport::Mmio);
        assert_eq!(disk.image.access, ImageAccess::ReadOnly);
        let other: Other = "virtio-console,console=file:/tmp/x".parse().unwrap();
        assert_eq!(other.transport, Transport::Pci);
        assert!(matches!(other.kind, Kind::Console(CharSpec::File(_))));
        let network: Network = "user,transport=mmio".parse().unwrap();
        assert_eq!(network.transport, Transport::Mmio);
        for wrong in ["virtio-gpu", "virtio-console", "virtio-console,size=1", "virtio-rng,x=1"] {
            assert!(wrong.parse::<Other>().is_err(), "{wrong}");
        }
        assert!("a.img,transport=usb".parse::<Disk>().is_err());
        assert!(",readonly".parse::<Disk>().is_err());
    }

    #[test]
    fn one_console_is_the_terminal() {
        let stdio: Other = "virtio-console,console=stdio".parse().unwrap();
        let null: Other = "virtio-console,console=null".parse().unwrap();
        let one = std::slice::from_ref(&stdio);
        assert_eq!(serial(None, &[null]).unwrap(), CharSpec::Stdio);
        assert_eq!(serial(None, one).unwrap(), CharSpec::Null);
        assert_eq!(serial(Some(CharSpec::Pty), one).unwrap(), CharSpec::Pty);
        assert!(serial(Some(CharSpec::Stdio), one).is_err());
        assert!(serial(None, &[stdio.clone(), stdio]).is_err());
    }
}
