"""What the tests on the lab share: kubectl, the operator as a process, and views of the cloud and the swarm that do not go through the operator's own code."""
