//! The device that a detector runs on.

use std::{fmt, str::FromStr};

use burn::{backend::DispatchDevice, tensor::Device};

/// A device that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device {device}: {reason}")]
pub struct DeviceError {
    /// The device asked for.
    pub device: DeviceChoice,
    /// What is missing, and what to do.
    pub reason: String,
}

/// A device by its name on the command line: `cpu`, `cuda`, `vulkan:1`, `wgpu:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor, all cores.
    #[default]
    Cpu,
    /// The first GPU that this build and machine have: by CUDA, by Vulkan, by wgpu; or else the processor.
    Auto,
    /// The n-th adapter that Vulkan lists, discrete GPUs first.
    Vulkan(usize),
    /// The n-th GPU that CUDA lists.
    Cuda(usize),
    /// The n-th adapter that wgpu lists: Vulkan, Metal, DirectX 12 or OpenGL, with shaders in WGSL.
    Wgpu(usize),
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Auto => write!(f, "auto"),
            Self::Vulkan(index) => write!(f, "vulkan:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, index.parse().map_err(|_| format!("`{index}` is no number"))?),
            None => (text, 0),
        };
        match (name, text.contains(':')) {
            ("cpu", false) => Ok(Self::Cpu),
            ("auto", false) => Ok(Self::Auto),
            ("vulkan", _) => Ok(Self::Vulkan(index)),
            ("cuda", _) => Ok(Self::Cuda(index)),
            ("wgpu", _) => Ok(Self::Wgpu(index)),
            _ => {
                Err("devices are cpu, auto, and cuda, vulkan and wgpu, with :N the N-th of them from 0"
                    .into())
            }
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If this build has no such backend, or the machine no such device.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Auto => {
                let gpus = [Self::Cuda(0), Self::Vulkan(0), Self::Wgpu(0)];
                Ok(gpus.into_iter().find_map(|gpu| gpu.open().ok()).unwrap_or_else(Device::flex))
            }
            Self::Vulkan(index) => self.listed(vulkan()?, index),
            Self::Cuda(index) => self.listed(cuda()?, index),
            Self::Wgpu(index) => self.listed(wgpu()?, index),
        }
    }

    fn listed(self, mut devices: Vec<Device>, index: usize) -> Result<Device, DeviceError> {
        if index < devices.len() {
            return Ok(devices.swap_remove(index));
        }
        let reason = if devices.is_empty() {
            "no driver of it lists a device on this machine; install the driver or leave --device out".into()
        } else {
            let names = devices.iter().enumerate().map(|(n, device)| format!("{n}: {}", name(device)));
            format!("the machine has {}", names.collect::<Vec<_>>().join(", "))
        };
        Err(DeviceError { device: self, reason })
    }
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<Vec<Device>, DeviceError> {
    Ok(Device::enumerate(burn::tensor::DeviceType::Vulkan).into_iter().collect())
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<Vec<Device>, DeviceError> {
    Err(without(DeviceChoice::Vulkan(0), "vulkan"))
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Vec<Device>, DeviceError> {
    Ok(Device::enumerate(burn::tensor::DeviceType::Cuda).into_iter().collect())
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Vec<Device>, DeviceError> {
    Err(without(DeviceChoice::Cuda(0), "cuda"))
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Vec<Device>, DeviceError> {
    Ok(Device::enumerate(burn::tensor::DeviceType::Wgpu).into_iter().collect())
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Vec<Device>, DeviceError> {
    Err(without(DeviceChoice::Wgpu(0), "wgpu"))
}

#[cfg(not(all(feature = "vulkan", feature = "cuda", feature = "wgpu")))]
fn without(device: DeviceChoice, feature: &str) -> DeviceError {
    let reason = format!("this program was built without it; build it with `--features {feature}`");
    DeviceError { device, reason }
}

/// Whether tensors lie in the memory of the processor.
pub fn is_processor(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Memory that the allocator of a GPU holds, in use or kept for reuse, in MiB; `None` on the processor.
pub fn memory_mib(device: &Device) -> Option<f64> {
    let usage = device.clone().inner().memory_pool_usage()?;
    Some(usage.bytes_reserved as f64 / f64::from(1 << 20))
}

/// The device as its maker calls it.
pub fn name(device: &Device) -> String {
    #[cfg(feature = "gpu")]
    if let Some(identity) = device.identity() {
        return identity.name;
    }
    let _ = device;
    "processor (flex backend)".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for device in [
            DeviceChoice::Cpu,
            DeviceChoice::Auto,
            DeviceChoice::Vulkan(0),
            DeviceChoice::Vulkan(3),
            DeviceChoice::Cuda(1),
            DeviceChoice::Wgpu(2),
        ] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("vulkan".parse(), Ok(DeviceChoice::Vulkan(0)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for wrong in ["", "gpu", "cpu:0", "auto:0", "cuda:", "cuda:-1", "vulkan:one", "Vulkan"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert!(DeviceChoice::Cpu.open().is_ok() && DeviceChoice::Auto.open().is_ok());
        let error = DeviceChoice::Vulkan(999).open().unwrap_err().to_string();
        assert!(error.starts_with("device vulkan"), "{error}");
        #[cfg(not(feature = "vulkan"))]
        assert!(error.contains("--features vulkan"), "{error}");
    }
}
