package s3

const (
	ownerEnforced = "BucketOwnerEnforced"
	maxParts      = 10000
)

func ownership(string) error { return notBuilt("x-amz-object-ownership") }
