"""What tests stand on: real peers (`peers`), synthetic DICOM files (`dicomfiles`)."""
