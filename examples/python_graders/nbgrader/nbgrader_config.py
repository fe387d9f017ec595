# The configuration of the course. A cell that runs longer is interrupted; the tests end a student's endless loop before.
c = get_config()
c.CourseDirectory.course_id = "backprop"
c.ExecutePreprocessor.timeout = 60
c.ExecutePreprocessor.interrupt_on_timeout = True
