"""What an image is made of, as a bill of materials: CycloneDX and SPDX."""
