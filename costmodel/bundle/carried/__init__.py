"""What a bundle of TVM modules carries along: times them without anything of ponas but this."""
