"""One U-Net, from volume to exported model."""
