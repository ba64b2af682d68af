// Command fakenode says that it is a node, which is all that an installer asks of one.
package main

import "fmt"

func main() { fmt.Println("v99.9.1") }
