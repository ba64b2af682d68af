package fleet

// driverKit names the driver of a second run.
const driverKit = "BASTIDE_FLEET_DRIVER"
