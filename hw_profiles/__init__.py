"""Device profiles that ship with ponas: data, one folder a device."""
