//! Other devices than the CPU, which candle computes on.

use crate::model::Device;

/// A device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NoDevice {
    /// This program was built without it.
    #[error(
        "this build computes on the CPU alone: build with `cargo build --release --features {0}`, or set the device to \
         `cpu`"
    )]
    NotBuilt(&'static str),
    /// The machine has none, or its driver refuses.
    #[error("there is no {device} device that can be used: {reason}; set the device to `cpu`")]
    NotThere {
        /// The name of the device.
        device: &'static str,
        /// The driver's message.
        reason: String,
    },
}

/// The device in candle's terms; none is the CPU, for which this build has kernels of its own.
///
/// # Errors
/// This build has no such device, or the machine has none.
pub(super) fn open(device: Device) -> Result<Option<candle_core::Device>, NoDevice> {
    let (built, opened) = match device {
        Device::Cpu => return Ok(None),
        Device::Cuda => (cfg!(feature = "cuda"), candle_core::Device::new_cuda(0)),
        Device::Metal => (cfg!(feature = "metal"), candle_core::Device::new_metal(0)),
    };
    let device = device.name();
    if !built {
        return Err(NoDevice::NotBuilt(device));
    }
    opened.map(Some).map_err(|e| NoDevice::NotThere { device, reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_this_build_has_not_is_refused_with_the_remedy() {
        assert!(open(Device::Cpu).unwrap().is_none());
        for (device, built) in
            [(Device::Cuda, cfg!(feature = "cuda")), (Device::Metal, cfg!(feature = "metal"))]
        {
            match open(device) {
                Ok(_) => assert!(built),
                Err(NoDevice::NotBuilt(name)) => assert!(!built && name == device.name()),
                Err(error) => assert!(built && error.to_string().contains("`cpu`"), "{error}"),
            }
        }
    }
}
