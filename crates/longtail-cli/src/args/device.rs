//! The device argument of the commands that run a detector.

use burn::tensor::Device;
use clap::Args;
use longtail_train::DeviceChoice;

/// `--device`
#[derive(Debug, Clone, Copy, Args)]
pub struct OnDevice {
    /// cpu (all cores; set RAYON_NUM_THREADS for fewer), cuda, vulkan or wgpu, the N-th of these as cuda:N and so on, or auto
    /// for the first GPU there is. GPUs need a program built with the feature of that name
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
}

impl OnDevice {
    /// Opens it.
    ///
    /// # Errors
    /// If this build has no such backend, or the machine no such device.
    pub fn open(&self) -> anyhow::Result<Device> {
        Ok(self.device.open()?)
    }
}
