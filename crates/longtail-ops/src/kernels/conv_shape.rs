//! The shape of a convolution, and how it is cut into tasks.

/// Output positions of a block: with K = 576 a block of columns takes 1.2 MB, about one L2 cache.
const BLOCK_POSITIONS: usize = 512;

/// Tasks that a convolution of few positions is cut into at least, if it has the channels.
const OUTPUT_BLOCKS: usize = 8;

/// Shape of a convolution over `[N, Cin, H, W]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input channels.
    pub inputs: usize,
    /// Input height and width.
    pub size: [usize; 2],
    /// Output channels.
    pub outputs: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Strides.
    pub stride: [usize; 2],
    /// Zeros above and left of the input.
    pub padding: [usize; 2],
    /// Zeros below and right of it.
    pub end_padding: [usize; 2],
    /// Groups.
    pub groups: usize,
}

impl ConvShape {
    /// Output height and width.
    pub fn output_size(&self) -> [usize; 2] {
        let along = |d: usize| {
            (self.size[d] + self.padding[d] + self.end_padding[d] - self.kernel[d]) / self.stride[d] + 1
        };
        [along(0), along(1)]
    }

    pub(super) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    pub(super) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    pub(super) fn kernel_area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Rows of a column matrix: input channels of a group × kernel area.
    pub(super) fn depth(&self) -> usize {
        self.group_inputs() * self.kernel_area()
    }

    /// Whether the input itself is the column matrix.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0] && self.end_padding == [0, 0]
    }

    /// Whether every channel has a kernel of its own.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.inputs && self.groups == self.outputs
    }

    /// Output columns whose tap at kernel column `kx` lies inside the input.
    #[inline(always)]
    pub(super) fn valid_columns(&self, kx: usize) -> (usize, usize) {
        let [_, columns] = self.output_size();
        let (stride, padding) = (self.stride[1], self.padding[1]);
        let from = padding.saturating_sub(kx).div_ceil(stride);
        // Largest ox with ox·stride + kx - padding ≤ width - 1, plus one.
        let to = (self.size[1] + padding).checked_sub(kx + 1).map_or(0, |room| room / stride + 1);
        (from.min(columns), to.min(columns))
    }

    /// Blocks of whole output rows, as (first row, rows).
    pub(super) fn row_blocks(&self) -> Vec<(usize, usize)> {
        let [rows, columns] = self.output_size();
        let step = (BLOCK_POSITIONS / columns.max(1)).clamp(1, rows.max(1));
        (0..rows).step_by(step).map(|first| (first, step.min(rows - first))).collect()
    }

    /// Blocks of a group's output channels, as (first channel, channels): more than one where there are few
    /// positions, and where that does not mean making columns again.
    pub(super) fn output_blocks(&self) -> Vec<(usize, usize)> {
        let channels = self.group_outputs();
        let others = self.batch * self.groups * self.row_blocks().len();
        let blocks = if self.is_pointwise() { OUTPUT_BLOCKS.div_ceil(others.max(1)) } else { 1 };
        let step = channels.div_ceil(blocks).next_multiple_of(16).clamp(1, channels.max(1));
        (0..channels).step_by(step).map(|first| (first, step.min(channels - first))).collect()
    }

    /// Blocks of a group's input channels, as (first channel, channels): about 4 when there are enough.
    pub(super) fn channel_blocks(&self) -> Vec<(usize, usize)> {
        let channels = self.group_inputs();
        let step = channels.div_ceil(4).max(8.min(channels));
        (0..channels).step_by(step).map(|first| (first, step.min(channels - first))).collect()
    }
}
