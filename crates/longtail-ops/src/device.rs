//! The device that a detector runs on.

use std::{fmt, str::FromStr};

use burn::{
    backend::DispatchDevice,
    tensor::{Device, Tensor, TensorData},
};

use crate::operations::{ConvOptions, conv2d, statistics};

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
    /// Drivers that compute on the processor are passed over: the CPU backend is many times faster.
    Auto,
    /// The n-th adapter that Vulkan lists, discrete GPUs first.
    Vulkan(usize),
    /// The n-th GPU that CUDA lists.
    Cuda(usize),
    /// The n-th adapter that wgpu lists, discrete GPUs first: Vulkan, Metal, DirectX 12 or OpenGL, with
    /// shaders in WGSL.
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
            Some((name, index)) => (name, index.parse().map_err(|_| format!("`{index}` is not a number"))?),
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
    /// If this build has no such backend, the machine no such device, or the device computes something else
    /// than the processor.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Auto => {
                let firsts = [(cuda(), Self::Cuda(0)), (vulkan(), Self::Vulkan(0)), (wgpu(), Self::Wgpu(0))];
                let gpus = firsts.into_iter().filter(|(devices, _)| {
                    devices.iter().flatten().next().is_some_and(|first| place_among(first) < SOFTWARE)
                });
                Ok(gpus.filter_map(|(_, gpu)| gpu.open().ok()).next().unwrap_or_else(Device::flex))
            }
            Self::Vulkan(index) => self.listed("vulkan", vulkan(), index),
            Self::Cuda(index) => self.listed("cuda", cuda(), index),
            Self::Wgpu(index) => self.listed("wgpu", wgpu(), index),
        }
    }

    /// The device with an index among those that a backend lists, if this build has the backend.
    fn listed(
        self,
        feature: &str,
        devices: Option<Vec<Device>>,
        index: usize,
    ) -> Result<Device, DeviceError> {
        let refused = |reason| Err(DeviceError { device: self, reason });
        let Some(mut devices) = devices else {
            return refused(format!(
                "this program was built without it; build it with `--features {feature}`"
            ));
        };
        if devices.is_empty() {
            return refused(
                "no driver lists one on this machine; install a driver, or leave --device out".into(),
            );
        }
        if index >= devices.len() {
            let names = devices.iter().enumerate().map(|(n, device)| format!("{n}: {}", name(device)));
            return refused(format!("there are only {}", names.collect::<Vec<_>>().join(", ")));
        }
        let device = devices.swap_remove(index);
        if !agrees_with_processor(&device) {
            return refused(format!(
                "{} gives other results than the processor for a small convolution; try another driver, or another way to it",
                name(&device)
            ));
        }
        Ok(device)
    }
}

fn vulkan() -> Option<Vec<Device>> {
    #[cfg(feature = "vulkan")]
    return Some(Device::enumerate(burn::tensor::DeviceType::Vulkan).into_iter().collect());
    #[cfg(not(feature = "vulkan"))]
    None
}

fn cuda() -> Option<Vec<Device>> {
    #[cfg(feature = "cuda")]
    return Some(Device::enumerate(burn::tensor::DeviceType::Cuda).into_iter().collect());
    #[cfg(not(feature = "cuda"))]
    None
}

fn wgpu() -> Option<Vec<Device>> {
    #[cfg(feature = "wgpu")]
    {
        let mut devices: Vec<Device> =
            Device::enumerate(burn::tensor::DeviceType::Wgpu).into_iter().collect();
        // The drivers' order may begin with any of them.
        devices.sort_by_key(place_among);
        Some(devices)
    }
    #[cfg(not(feature = "wgpu"))]
    None
}

/// Place of drivers that compute on the processor in [`place_among`].
const SOFTWARE: usize = 4;

/// Where a device stands among those of a backend: discrete GPUs, integrated and virtual ones, what tells
/// nothing, software.
fn place_among(device: &Device) -> usize {
    #[cfg(feature = "gpu")]
    if let DispatchDevice::Cube(cubecl::Device::Wgpu(device)) = device.as_dispatch() {
        use cubecl::device::WgpuDeviceKind as Kind;
        return match device.kind {
            Kind::DiscreteGpu(_) => 0,
            Kind::IntegratedGpu(_) => 1,
            Kind::VirtualGpu(_) => 2,
            Kind::Cpu => SOFTWARE,
            Kind::DefaultDevice | Kind::Existing(_) | Kind::Other(_) => 3,
        };
    }
    let _ = device;
    0
}

/// Whether a convolution, its statistics and a matrix product come out as on the processor: drivers that lack
/// what a kernel needs have been seen to leave zeros without a word.
fn agrees_with_processor(device: &Device) -> bool {
    let results = |device: &Device| {
        let wave =
            |length: usize, step: f32| (0..length).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let x = Tensor::<4>::from_data(TensorData::new(wave(2 * 4 * 8 * 8, 0.7), [2, 4, 8, 8]), device);
        let weight = Tensor::<4>::from_data(TensorData::new(wave(4 * 4 * 9, 1.3), [4, 4, 3, 3]), device);
        let options =
            ConvOptions { stride: [1, 1], padding: [1, 1], end_padding: [1, 1], groups: 1, bias: false };
        let y = conv2d(x, weight, None, options);
        let rows = y.clone().reshape([8, 64]);
        let product = rows.clone().matmul(rows.transpose());
        let tensors = [y.clone().reshape([512]), statistics(y).reshape([8]), product.reshape([64])];
        tensors.map(|tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap_or_default()).concat()
    };
    let (found, expected) = (results(device), results(&Device::flex()));
    // Matrix units of some GPUs round their factors to ten bits.
    found.len() == expected.len()
        && found.iter().zip(&expected).all(|(f, e)| (f - e).abs() <= 0.02 * (1.0 + e.abs()))
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
