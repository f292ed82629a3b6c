//! Memory of tensors on a GPU: what order it is in, and new tensors.

use burn::{
    backend::TensorMetadata,
    tensor::{DType, Shape},
};
use burn_cubecl::{kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::{calculate_cube_count_elemwise, prelude::*};

/// Units of a cube where each has its own value.
const UNITS: u32 = 256;

/// The shape as an array.
pub fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    let shape = tensor.shape();
    std::array::from_fn(|d| shape[d])
}

/// An uninitialised tensor beside another, contiguous.
pub fn empty<const D: usize>(beside: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let (client, device) = (beside.client.clone(), beside.device.clone());
    empty_device_contiguous_dtype(client, device, Shape::from(shape), DType::F32)
}

/// An uninitialised tensor of the shape of another that is dense, in the same order.
pub fn like(other: &CubeTensor) -> CubeTensor {
    let bytes = count(other) * size_of::<f32>();
    CubeTensor { handle: other.client.empty(bytes), ..other.clone() }
}

/// An argument of a kernel: the values one after the other, in the order of the dimensions.
pub fn buffer(tensor: CubeTensor) -> BufferArg {
    into_contiguous(of_floats(tensor)).into_buffer_arg()
}

/// An argument of a kernel: values as they lie in memory, from the first to the last.
pub fn as_it_lies(tensor: CubeTensor) -> BufferArg {
    of_floats(tensor).into_buffer_arg()
}

/// An argument of a kernel that finds values by their strides.
pub fn strided(tensor: CubeTensor) -> TensorArg {
    of_floats(tensor).into_tensor_arg()
}

/// Arguments carry no type: a kernel would read other numbers as these.
fn of_floats(tensor: CubeTensor) -> CubeTensor {
    assert_eq!(tensor.dtype, DType::F32, "detection operations take f32 tensors");
    tensor
}

/// The same values without gaps, whatever the order of the dimensions.
pub fn dense(tensor: CubeTensor) -> CubeTensor {
    if is_dense(&tensor) { tensor } else { into_contiguous(tensor) }
}

/// Two tensors of the same shape, dense and in the same order.
pub fn same_order(a: CubeTensor, b: CubeTensor) -> (CubeTensor, CubeTensor) {
    if is_dense(&a) && a.meta.strides() == b.meta.strides() {
        return (a, b);
    }
    (into_contiguous(a), into_contiguous(b))
}

/// Number of values, and how to launch a kernel with a unit for each.
pub fn elementwise(tensor: &CubeTensor) -> (u32, CubeCount, CubeDim) {
    let count = count(tensor);
    let units = CubeDim::new_1d(UNITS);
    (
        u32::try_from(count).expect("a tensor of less than 2³² values"),
        calculate_cube_count_elemwise(&tensor.client, count, units),
        units,
    )
}

fn count(tensor: &CubeTensor) -> usize {
    tensor.meta.shape().num_elements()
}

/// Whether the values fill their memory: sorted by stride, each dimension begins where the one inside it
/// ends.
fn is_dense(tensor: &CubeTensor) -> bool {
    let (shape, strides) = (tensor.meta.shape(), tensor.meta.strides());
    let mut order: Vec<usize> = (0..shape.num_dims()).filter(|&d| shape[d] > 1).collect();
    order.sort_unstable_by_key(|&d| strides[d]);
    let mut expected = 1;
    order.into_iter().all(|d| {
        let fits = strides[d] == expected;
        expected *= shape[d];
        fits
    })
}
