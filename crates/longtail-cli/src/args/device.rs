//! The device argument of the commands that run a detector.

use anyhow::ensure;
use burn::tensor::Device;
use clap::Args;
use longtail_train::DeviceChoice;

use crate::printer::Printer;

/// `--device`
#[derive(Debug, Clone, Copy, Args)]
pub struct OnDevice {
    /// cpu (all cores; set RAYON_NUM_THREADS for fewer), cuda, vulkan or wgpu, the N-th of these as cuda:N
    /// and so on, or auto for the first GPU there is. GPUs need a program built with the feature of that name
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
}

impl OnDevice {
    /// Refuses any other device than the processor for work that runs no detector.
    ///
    /// # Errors
    /// If another one was asked for.
    pub fn expect_processor(&self, work: &str) -> anyhow::Result<()> {
        ensure!(self.device == DeviceChoice::Cpu, "--device {}: {work} runs on the processor", self.device);
        Ok(())
    }

    /// Opens it, and says which one it is if it was not the processor that was asked for.
    ///
    /// # Errors
    /// If this build has no such backend, the machine no such device, or the device computes wrongly.
    pub fn open(&self, printer: &Printer) -> anyhow::Result<Device> {
        let device = self.device.open()?;
        if self.device != DeviceChoice::Cpu {
            printer.note(&format!("device: {}", longtail_train::device_name(&device)));
        }
        Ok(device)
    }
}
