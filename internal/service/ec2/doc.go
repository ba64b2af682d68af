// Package ec2 is as much of Amazon EC2 as functions need to be let out by: VPCs and subnets, which are
// names here and carry no packets, and security groups, whose egress rules are declarations. A function
// whose VpcConfig names groups may connect along their rules, and not otherwise (decision 0045).
//
// What we promise: the calls below answer as AWS's do; a rule that a caller wrote lets TCP out to its
// block of addresses, wide ranges of ports to those that services are usually found at (Ways); a group's
// rule that AWS adds by itself, all traffic to anywhere, is shown but lets nothing out until somebody
// authorizes it. What we do not: ingress rules filter nothing, since nothing comes in; a rule to another
// group or a prefix list leads nowhere; all other operations answer NotImplemented.
package ec2
